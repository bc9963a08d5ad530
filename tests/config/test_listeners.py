"""The addresses where the server listens: who reaches them, and that they differ."""

from itertools import combinations

import pytest

from mintonce_server.config import load
from support.settings import issues_of

LISTENERS = {
    "listen": "MINTONCE_LISTEN",
    "health_listen": "MINTONCE_HEALTH_LISTEN",
    "http.listen": "MINTONCE_HTTP__LISTEN",
    "token_endpoint.listen": "MINTONCE_TOKEN_ENDPOINT__LISTEN",
}
ENDPOINT = LISTENERS["token_endpoint.listen"]


@pytest.mark.parametrize("listen", ["0.0.0.0:8443", "[::]:8443", "mintonce.internal:8443"])
def test_a_token_endpoint_that_others_reach_needs_tls_and_identities(smallest: dict[str, str], listen: str) -> None:
    """Or a word that it is meant, as `listen` does."""
    smallest |= {ENDPOINT: listen, "MINTONCE_AUDIENCES": "*", "MINTONCE_INSECURE_STORE": "true"}

    (fault,) = issues_of(None, smallest)

    assert fault.where == f"variable {ENDPOINT}"
    assert "without TLS" in fault.what
    assert load(None, {**smallest, "MINTONCE_INSECURE_LISTEN": "true"}).token_endpoint.listen == listen


def test_a_token_endpoint_that_others_reach_needs_audiences_in_writing(smallest: dict[str, str]) -> None:
    """Any audience is open only to this machine."""
    smallest |= {ENDPOINT: "0.0.0.0:8443", "MINTONCE_INSECURE_LISTEN": "true", "MINTONCE_INSECURE_STORE": "true"}

    (fault,) = issues_of(None, smallest)

    assert fault.where == "variable MINTONCE_AUDIENCES"


@pytest.mark.parametrize("listen", ["127.0.0.1:8443", "[::1]:8443", "unix:/run/mintonce/oauth.sock"])
def test_a_token_endpoint_for_this_machine_needs_no_word(smallest: dict[str, str], listen: str) -> None:
    """Loopback and Unix sockets."""
    assert load(None, {**smallest, ENDPOINT: listen}).token_endpoint.listen == listen


@pytest.mark.parametrize(("first", "second"), list(combinations(LISTENERS, 2)))
def test_two_listeners_cannot_have_one_address(smallest: dict[str, str], first: str, second: str) -> None:
    """The one that stands later is named, with the other one: better than a bind that fails at the start."""
    smallest |= {LISTENERS[first]: "127.0.0.1:7000", LISTENERS[second]: "127.0.0.1:7000"}

    (fault,) = issues_of(None, smallest)

    assert fault.where == f"variable {LISTENERS[second]}"
    assert fault.what == f"is the address of {first}, too"
    assert fault.remedy == "Choose another port."


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1:7000", "localhost:7000"),
        ("[::1]:7000", "[0:0::1]:7000"),
        ("0.0.0.0:7000", "127.0.0.1:7000"),
        ("127.0.0.1:7000", "[::]:7000"),
        ("unix:/run/m.sock", "unix:/run/m.sock"),
    ],
)
def test_one_address_may_be_written_in_several_ways(smallest: dict[str, str], one: str, other: str) -> None:
    """All addresses of the machine hold each of them."""
    smallest |= {"MINTONCE_INSECURE_LISTEN": "true", "MINTONCE_INSECURE_STORE": "true", "MINTONCE_AUDIENCES": "*"}

    (fault,) = issues_of(None, {**smallest, "MINTONCE_LISTEN": one, ENDPOINT: other})

    assert "is the address of listen, too" in fault.what


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:7000", "127.0.0.1:7001"),
        ("127.0.0.1:7000", "127.0.0.2:7000"),
        ("127.0.0.1:7000", "[::1]:7000"),
        ("unix:/run/a.sock", "unix:/run/b.sock"),
        ("unix:/run/a.sock", "127.0.0.1:7000"),
    ],
)
def test_what_differs_may_be_listened_on(smallest: dict[str, str], one: str, other: str) -> None:
    """Port 0 is one that the system chooses, another one each time."""
    assert load(None, {**smallest, "MINTONCE_LISTEN": one, ENDPOINT: other}).listen == one


@pytest.mark.parametrize(
    ("setting", "value"),
    [("MIN_TTL", "330s"), ("REVOCATION", "true"), ("PUBLIC_URL", "https://tokens.example.com"), ("DEADLINE", "3s")],
)
def test_a_setting_of_a_token_endpoint_that_does_not_listen_is_an_oversight(
    smallest: dict[str, str], setting: str, value: str
) -> None:
    """Who sets it expects that something answers."""
    name = f"MINTONCE_TOKEN_ENDPOINT__{setting}"

    (fault,) = issues_of(None, {**smallest, name: value})

    assert (fault.where, fault.what) == (f"variable {name}", "has no effect without token_endpoint.listen")
    assert load(None, {**smallest, name: value, ENDPOINT: "127.0.0.1:8443"}).token_endpoint.listen


def test_an_invalid_address_has_one_issue(smallest: dict[str, str]) -> None:
    """Nothing else is said of the section until it is valid."""
    smallest |= {ENDPOINT: "nowhere", "MINTONCE_TOKEN_ENDPOINT__MIN_TTL": "330s"}

    (fault,) = issues_of(None, smallest)

    assert fault.where == f"variable {ENDPOINT}"


@pytest.mark.parametrize(
    ("audiences", "is_valid"), [("*", True), ("https://a/,https://b/", True), ("https://a/", False)]
)
def test_the_default_audience_is_one_of_the_clients_audiences(
    smallest: dict[str, str], audiences: str, is_valid: bool
) -> None:
    """Else no caller could be allowed what the endpoint asks for."""
    smallest |= {"MINTONCE_AUDIENCES": audiences, "MINTONCE_CLIENTS__DEFAULT__DEFAULT_AUDIENCE": "https://b/"}
    if is_valid:
        assert load(None, smallest).clients["default"].default_audience == "https://b/"
        return

    (fault,) = issues_of(None, smallest)

    assert fault.where == "variable MINTONCE_CLIENTS__DEFAULT__DEFAULT_AUDIENCE"
    assert "audiences" in fault.remedy
