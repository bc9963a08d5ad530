"""What the settings of an issuer become: profiles, domains, proxies, headers, proofs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mintonce_server.config import Settings, effective, load, load_explained
from mintonce_server.config.profiles import PROFILES, PROVIDERS
from support.settings import issues_of

WriteConfig = Callable[[str], Path]

BASE = """
[redis]
url = "redis://127.0.0.1:6379"

[clients.a]
issuer = "i"
client_id = "a"
client_secret = "the-secret"
audiences = ["*"]
{client}

[issuers.i]
{issuer}
"""


def config(issuer: str, client: str = "") -> str:
    return BASE.format(issuer=issuer, client=client)


def settings(write_config: WriteConfig, issuer: str, client: str = "") -> Settings:
    return load(write_config(config(issuer, client)), {})


def issue(write_config: WriteConfig, issuer: str, client: str = "") -> tuple[str, str, str]:
    """The only issue: the setting, what is wrong, the remedy."""
    (found,) = issues_of(write_config(config(issuer, client)), {})
    return found.where.rpartition(": ")[2], found.what, found.remedy


def test_every_provider_has_a_profile() -> None:
    """And no other has."""
    assert tuple(PROFILES) == PROVIDERS


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_profile_sets_valid_settings(write_config: WriteConfig, provider: str) -> None:
    """Whether the issuer is named by domain, token URL or identifier."""
    ways = ['token_url = "https://h.example/t"', 'issuer = "https://h.example"']
    ways += ['domain = "h.example"'] if PROFILES[provider].token_url else []
    for way in ways:
        issuer = settings(write_config, f'provider = "{provider}"\n{way}').issuers["i"]
        assert issuer.provider == provider
        assert "{domain}" not in f"{issuer.assertion_audience} {issuer.token_url}"


@pytest.mark.parametrize(
    ("provider", "token_url"),
    [
        ("auth0", "https://h.example:8443/oauth/token"),
        ("okta", "https://h.example:8443/oauth2/default/v1/token"),
        ("cognito", "https://h.example:8443/oauth2/token"),
    ],
)
def test_a_domain_leads_to_the_providers_endpoint(write_config: WriteConfig, provider: str, token_url: str) -> None:
    """With its port."""
    issuer = settings(write_config, f'provider = "{provider}"\ndomain = "h.example:8443"').issuers["i"]
    assert issuer.token_url == token_url


def test_a_profile_sets_only_what_is_not_set(write_config: WriteConfig) -> None:
    """In the file or in the environment."""
    text = 'provider = "hydra"\ntoken_url = "https://h.example/t"\nauth = "client_secret_post"'
    issuer = load(write_config(config(text)), {"MINTONCE_ISSUERS__I__AUDIENCE_PARAMETER": "resource"}).issuers["i"]
    assert (issuer.auth, issuer.audience_parameter) == ("client_secret_post", "resource")


def test_auth0s_assertions_are_for_the_tenant(write_config: WriteConfig) -> None:
    """Its URL ends with a slash."""
    issuer = settings(write_config, 'provider = "auth0"\ndomain = "acme.eu.auth0.com"').issuers["i"]
    assert issuer.assertion_audience == "https://acme.eu.auth0.com/"
    assert issuer.request == "json"


@pytest.mark.parametrize("domain", ["h.example/realms/x", "h.example/oauth/token", "h.example?x=y"])
def test_a_domain_with_a_path_is_refused(write_config: WriteConfig, domain: str) -> None:
    """It would be a guess where the token endpoint is."""
    where, what, remedy = issue(write_config, f'domain = "{domain}"')
    assert where == "issuers.i.domain"
    assert what == "contains more than a host"
    assert "issuer" in remedy


def test_a_domain_that_says_too_little_is_refused(write_config: WriteConfig) -> None:
    """A Keycloak has realms."""
    where, _, remedy = issue(write_config, 'provider = "keycloak"\ndomain = "sso.example.com"')
    assert where == "issuers.i.domain"
    assert "https://HOST/realms/REALM" in remedy


def test_one_of_three_settings_leads_to_the_issuer(write_config: WriteConfig) -> None:
    """None is a fault, and so are two."""
    assert issue(write_config, "http2 = false")[0] == "issuers.i.token_url"
    both = 'issuer = "https://a.example"\ntoken_url = "https://a.example/t"'
    assert issue(write_config, both)[1] == "is set, and issuer too"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('provider = "keyclock"\ntoken_url = "https://h.example/t"', "issuers.i.provider"),
        ('issuer = "https://h.example/x?y"', "issuers.i.issuer"),
        ('issuer = "https://h.example/.well-known/openid-configuration"', "issuers.i.issuer"),
        ('issuer = "h.example"', "issuers.i.issuer"),
        ('issuer = "http://h.example"', "issuers.i.issuer"),
        ('token_url = "https://h.example/t"\nassertion_audience = "issuer"', "issuers.i.assertion_audience"),
        ('token_url = "https://h.example/t"\nsystem_authorities = true', "issuers.i.system_authorities"),
        ('token_url = "https://h.example/t"\naudience_scope = "x"', "issuers.i.audience_scope"),
        ('token_url = "https://h.example/t"\naudience_scope = "{audience} x"', "issuers.i.audience_scope"),
        ('token_url = "https://h.example/t"\nproxy = "proxy:3128"', "issuers.i.proxy"),
        ('token_url = "https://h.example/t"\nproxy = "ftp://proxy:3128"', "issuers.i.proxy"),
        ('token_url = "https://h.example/t"\nproxy = "http://u:canary@proxy:3128"', "issuers.i.proxy"),
        ('token_url = "https://h.example/t"\nproxy = "socks5://proxy"', "issuers.i.proxy"),
        ('token_url = "https://h.example/t"\nproxy = "http://[x"', "issuers.i.proxy"),
        ('token_url = "https://h.example/t"\nproxy = "http://p:1"\nproxy_file = "f"', "issuers.i.proxy"),
        ('token_url = "http://127.0.0.1:1/t"\nproxy = "http://p:1"', "issuers.i.proxy"),
        ('token_url = "https://h.example/t"\nproxy_file = "absent"', "issuers.i.proxy_file"),
        ('token_url = "https://h.example/t"\nheader_files = {X-Key = "absent"}', "issuers.i.header_files.X-Key"),
        ('token_url = "https://h.example/t"\nproxy = "http://proxy:1?canary"', "issuers.i.proxy"),
        ('token_url = "https://h.example/t"\nheaders = {Authorization = "canary"}', "issuers.i.headers"),
        ('token_url = "https://h.example/t"\nheaders = {"a b" = "canary"}', "issuers.i.headers"),
        ('token_url = "https://h.example/t"\nheaders = {X-A = "canary\\n"}', "issuers.i.headers"),
    ],
)
def test_what_an_issuer_may_not_say(write_config: WriteConfig, text: str, where: str) -> None:
    """Each with one issue, which repeats no value."""
    found, what, remedy = issue(write_config, text)
    assert found == where
    assert "canary" not in what + remedy
    assert remedy.endswith(".")


@pytest.mark.parametrize(
    ("issuer", "client", "where"),
    [
        ('auth = "client_secret_post"', 'signing_algorithm = "HS256"', "clients.a.signing_algorithm"),
        ('auth = "client_secret_jwt"', 'signing_algorithm = "RS256"', "clients.a.signing_algorithm"),
        ('auth = "client_secret_post"', 'key_file = "{here}"', "clients.a.certificate_file"),
        ('auth = "client_secret_post"', 'default_scopes = ["a b"]', "clients.a.default_scopes"),
    ],
)
def test_what_a_client_may_not_say(
    write_config: WriteConfig, tmp_path: Path, issuer: str, client: str, where: str
) -> None:
    """What does not fit the issuer's `auth`, or lacks its other half."""
    (tmp_path / "key").touch(mode=0o600)
    text = f'token_url = "https://h.example/t"\n{issuer}'
    assert issue(write_config, text, client.format(here=tmp_path / "key"))[0] == where


def test_secret_files_of_an_issuer_are_found_beside_the_config_file(write_config: WriteConfig, tmp_path: Path) -> None:
    """As all files."""
    for name in ("key", "proxy"):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text("http://u:p@proxy:1")
    text = 'token_url = "https://h.example/t"\nproxy_file = "proxy"\nheader_files = {X-Key = "key"}'
    issuer = settings(write_config, text).issuers["i"]
    assert issuer.proxy_file == tmp_path / "proxy"
    assert issuer.header_files == {"X-Key": tmp_path / "key"}


def test_a_certificate_needs_tls(write_config: WriteConfig, tmp_path: Path) -> None:
    """It would be left out without a word."""
    for name in ("cert", "key"):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text("x")
    text = 'token_url = "http://127.0.0.1:1/t"'
    where, what, _ = issue(write_config, text, 'certificate_file = "cert"\nkey_file = "key"')
    assert where == "clients.a.certificate_file"
    assert "cannot be presented" in what


def test_a_header_is_set_once(write_config: WriteConfig, tmp_path: Path) -> None:
    """Names of headers have no case."""
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_text("x")
    text = 'token_url = "https://h.example/t"\nheaders = {X-Key = "a"}\nheader_files = {x-key = "key"}'
    assert issue(write_config, text)[1] == "is set more than once"


def test_the_settings_in_effect_say_where_they_come_from(write_config: WriteConfig) -> None:
    """A file, a variable, the profile or nothing; and no secret."""
    path = write_config(config('provider = "keycloak"\nissuer = "https://h.example"\nheaders = {X-A = "canary"}'))
    environ = {"MINTONCE_LISTEN": "127.0.0.1:1", "MINTONCE_CLIENTS__A__CLIENT_ID": "b"}

    lines = list(effective(*load_explained(path, environ)))

    def origin(start: str) -> str:
        return next(line.partition("  # ")[2] for line in lines if line.startswith(start))

    assert origin("listen = ") == "variable MINTONCE_LISTEN"
    assert origin("issuer = ") == f"{path}: issuers.i.issuer"
    assert origin('audience_parameter = "none"') == f"{path}: issuers.i.provider (default of it)"
    assert origin('client_id = "b"') == "variable MINTONCE_CLIENTS__A__CLIENT_ID"
    assert origin("http2 = false") == "default"
    assert 'client_secret = "[hidden]"' in "\n".join(lines)
    assert "the-secret" not in "\n".join(lines)
    assert "canary" not in "\n".join(lines)
