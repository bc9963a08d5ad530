"""Everything that is wrong is reported at once, with where and what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mintonce_server.config import load
from support.redis_urls import BAD_URLS, GOOD_URLS
from support.settings import COMPLETE, issues_of

WriteConfig = Callable[[str], Path]

MANY_FAULTS = """
lissten = "127.0.0.1:1"
listen = "0.0.0.0:50051"
lease_ttl = "long"

[limits]
mint_burst = "many"

[redis]
url = "redis+sentinel://a,b,c"
timeout = -1

[issuers.acme]
domain = "http://login.example.com"
ca_file = "absent.pem"

[issuers.other]
reqest = "json"

[clients."a b"]
issuer = "acm"
client_id = ""
client_secret_files = ["absent"]
audiences = ["two  spaces"]
extra = { grant_type = "password" }
"""


def test_all_faults_come_in_one_go(write_config: WriteConfig) -> None:
    """A fault in one setting hides no other: neither in its own table, nor between tables."""
    faults = issues_of(write_config(MANY_FAULTS), {"MINTONCE_REDSI_URL": "x"})

    where = {fault.where.rpartition(": ")[2].removeprefix("variable ") for fault in faults}
    assert where == {
        "MINTONCE_REDSI_URL",
        "lissten",
        "listen",
        "lease_ttl",
        "limits.mint_burst",
        "sealing_keys_file",
        "redis.url",
        "redis.timeout",
        "issuers.acme.domain",
        "issuers.acme.ca_file",
        "issuers.other.reqest",
        "issuers.other.token_url",
        'clients."a b"',
        'clients."a b".issuer',
        'clients."a b".client_id',
        'clients."a b".client_secret_files',
        'clients."a b".audiences',
        'clients."a b".extra',
    }
    assert len(faults) == len(where)


def test_each_fault_has_a_remedy(write_config: WriteConfig) -> None:
    """A fault says what is wrong and what a person can do."""
    for fault in issues_of(write_config(MANY_FAULTS), {}):
        assert fault.what
        assert fault.remedy.endswith((".", "?", ")"))


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:50051", "[::]:50051", "10.1.2.3:1", "mintonce.internal:50051", "127.0.0.1.example.com:1"]
)
def test_listening_beyond_loopback_must_be_said_out_loud(smallest: dict[str, str], listen: str) -> None:
    """Callers prove no identity, so a server that others reach starts only when that is meant."""
    smallest |= {"MINTONCE_LISTEN": listen, "MINTONCE_INSECURE_STORE": "true", "MINTONCE_AUDIENCES": "*"}

    (fault,) = issues_of(None, smallest)

    assert "insecure_listen" in fault.remedy
    assert load(None, {**smallest, "MINTONCE_INSECURE_LISTEN": "true"}).listen == listen


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:50051", "localhost:50051", "127.9.9.9:1", "unix:/run/m.sock"])
def test_this_machine_alone_may_be_listened_on(smallest: dict[str, str], listen: str) -> None:
    """Loopback and Unix sockets need no word."""
    assert load(None, {**smallest, "MINTONCE_LISTEN": listen}).listen == listen


@pytest.mark.parametrize(
    "listen",
    [
        "50051",
        "127.0.0.1",
        ":50051",
        "127.0.0.1:99999",
        "::1:5",
        "unix:m.sock",
        "unix:/",
        "a/b:1",
        "unix:/" + "x" * 200,
    ],
)
def test_a_malformed_listen_address_is_a_fault(smallest: dict[str, str], listen: str) -> None:
    """The address is checked here, not by a failing server."""
    (fault,) = issues_of(None, {**smallest, "MINTONCE_LISTEN": listen})

    assert fault.where == "variable MINTONCE_LISTEN"


@pytest.mark.parametrize("domain", ["http://login.example.com", "http://localhost.example.com/oauth/token"])
def test_a_plain_http_issuer_must_be_said_out_loud(smallest: dict[str, str], domain: str) -> None:
    """The client secret would travel in the clear."""
    smallest["MINTONCE_OAUTH_DOMAIN"] = domain

    (fault,) = issues_of(None, smallest)

    assert "insecure_issuer" in fault.remedy
    assert load(None, {**smallest, "MINTONCE_INSECURE_ISSUER": "true"}).insecure_issuer


@pytest.mark.parametrize(
    "domain",
    [
        "ftp://login.example.com",
        "https://",
        "https://user:pass@login.example.com",
        "https://a.example.com/x#y",
        "a b",
        "https://[x",
    ],
)
def test_a_malformed_issuer_is_a_fault(smallest: dict[str, str], domain: str) -> None:
    """A token URL is absolute, without user, password or fragment."""
    (fault,) = issues_of(None, {**smallest, "MINTONCE_OAUTH_DOMAIN": domain})

    assert fault.where == "variable MINTONCE_OAUTH_DOMAIN"


@pytest.mark.parametrize("url", [*BAD_URLS, "127.0.0.1:6379"])
def test_a_malformed_store_url_is_a_fault(smallest: dict[str, str], url: str) -> None:
    """All that the store would refuse is, before anything starts, and nothing of it is shown."""
    (fault,) = issues_of(None, {**smallest, "MINTONCE_REDIS_URL": url})

    assert fault.where == "variable MINTONCE_REDIS_URL"
    assert "the-password" not in str(fault)


@pytest.mark.parametrize("url", GOOD_URLS)
def test_what_the_store_takes_is_no_fault(smallest: dict[str, str], url: str) -> None:
    """One server, Sentinels, a Cluster, a socket; what is shown of the URL has no password."""
    shown = load(
        None,
        {**smallest, "MINTONCE_REDIS_URL": url, "MINTONCE_INSECURE_STORE": "true", "MINTONCE_INSECURE_REDIS": "true"},
    ).redis.safe_url

    assert "@" not in shown
    assert "?" not in shown


def test_an_unknown_issuer_is_reported_with_the_likely_one(write_config: WriteConfig) -> None:
    """A client mints from an issuer that is configured."""
    (fault,) = issues_of(write_config(COMPLETE.replace('issuer = "acme"', 'issuer = "acne"')), {})

    assert fault.remedy == "Did you mean acme?"


@pytest.mark.parametrize("text", ['redis = "x"', "clients = 1", "issuers = []", "[clients]\nbilling = 1"])
def test_a_value_in_the_place_of_a_table_is_a_fault(write_config: WriteConfig, text: str) -> None:
    """Shapes are checked as well as values."""
    assert any("is not a table" in fault.what for fault in issues_of(write_config(text), {}))


def test_no_fault_can_command_a_terminal(write_config: WriteConfig) -> None:
    """Names that come from outside are shown without their control characters."""
    faults = issues_of(write_config('"\\u001b[2J\\n" = 1' + COMPLETE), {})

    assert all(str(fault).isprintable() for fault in faults)


@pytest.mark.parametrize("prefix", ["mintonce", "a", "staging:mo", "A-1.b_c", "x" * 64])
def test_names_in_redis_may_have_a_prefix(smallest: dict[str, str], prefix: str) -> None:
    """So that installations can share one."""
    assert load(None, {**smallest, "MINTONCE_REDIS__PREFIX": prefix}).redis.prefix == prefix


@pytest.mark.parametrize("prefix", ["x" * 65, "a b", "a{b", "}", "mo*", "m?", "[ab]", "a\\", "ü", "a\n", "a/b", "~a"])
def test_a_prefix_that_patterns_or_slots_would_read_is_a_fault(smallest: dict[str, str], prefix: str) -> None:
    """Braces would move keys of one token to several slots of a Cluster, and wildcards would fit others' names."""
    (fault,) = issues_of(None, {**smallest, "MINTONCE_REDIS__PREFIX": prefix})
    assert fault.where == "variable MINTONCE_REDIS__PREFIX"
    assert "letters" in fault.remedy


def test_an_empty_prefix_is_a_fault(write_config: WriteConfig) -> None:
    """In a file; an empty variable counts as none."""
    (fault,) = issues_of(write_config(COMPLETE.replace("[redis]\n", '[redis]\nprefix = ""\n')), {})
    assert "letters" in fault.remedy


def test_a_port_that_cannot_be_is_no_listen_address(smallest: dict[str, str]) -> None:
    """Nobody wrote a URL."""
    (fault,) = issues_of(None, {**smallest, "MINTONCE_LISTEN": "127.0.0.1:99999"})

    assert fault.what == "is not a listen address"
