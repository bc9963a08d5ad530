"""Settings from the environment alone."""

from pathlib import Path

import pytest

from mintonce_server.config import Settings, load
from mintonce_server.core.secret import Secret
from support.settings import issues_of


def test_four_variables_register_a_client_named_default(smallest: dict[str, str]) -> None:
    """An OAuth domain, a client id, its secret and a store are enough."""
    settings = load(None, smallest)

    assert settings.listen == "127.0.0.1:50051"
    assert settings.redis.url.reveal() == "redis://127.0.0.1:6379/0"
    assert settings.clients["default"].client_id == "my-client-id"
    assert settings.clients["default"].client_secret == Secret("my-client-secret")
    assert settings.clients["default"].audiences == ("*",)
    issuer = settings.issuers[settings.clients["default"].issuer]
    assert issuer.token_url == "https://tenant.example.com/oauth/token"
    assert (issuer.request, issuer.auth) == ("json", "client_secret_post")


@pytest.mark.parametrize(
    ("domain", "token_url"),
    [
        ("tenant.example.com:8443", "https://tenant.example.com:8443/oauth/token"),
        ("https://tenant.example.com", "https://tenant.example.com/oauth/token"),
        ("https://tenant.example.com/", "https://tenant.example.com/oauth/token"),
        ("https://tenant.example.com/v2/token?a=b", "https://tenant.example.com/v2/token?a=b"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9/oauth/token"),
    ],
)
def test_an_oauth_domain_may_be_written_in_several_ways(smallest: dict[str, str], domain: str, token_url: str) -> None:
    """A host, a URL without a path, and a whole URL all name a token endpoint."""
    settings = load(None, {**smallest, "MINTONCE_OAUTH_DOMAIN": domain})

    assert settings.issuers["default"].token_url == token_url


def test_a_secret_comes_from_a_file(smallest: dict[str, str], tmp_path: Path) -> None:
    """One closing line break, which editors add, is no part of the secret."""
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_text("from-a-file \n")
    del smallest["MINTONCE_CLIENT_SECRET"]

    settings = load(None, {**smallest, "MINTONCE_CLIENT_SECRET_FILES": str(file)})

    assert settings.clients["default"].client_secret == Secret("from-a-file ")


def test_audiences_are_parted_by_commas(smallest: dict[str, str]) -> None:
    """The environment has no lists, so commas make one."""
    settings = load(None, {**smallest, "MINTONCE_AUDIENCES": "https://a.example.com/, urn:b"})

    assert settings.clients["default"].audiences == ("https://a.example.com/", "urn:b")


def test_every_table_can_be_written_as_variables() -> None:
    """Two underscores lead into a table: no config file is needed, whatever the set-up."""
    settings = load(
        None,
        {
            "MINTONCE_REDIS__URL": "unix:///run/valkey.sock",
            "MINTONCE_REDIS__TIMEOUT": "100ms",
            "MINTONCE_ISSUERS__ACME__TOKEN_URL": "https://login.example.com/token",
            "MINTONCE_CLIENTS__BILLING__ISSUER": "acme",
            "MINTONCE_CLIENTS__BILLING__CLIENT_ID": "id",
            "MINTONCE_CLIENTS__BILLING__CLIENT_SECRET": "s",
            "MINTONCE_CLIENTS__BILLING__EXTRA__ORGANIZATION": "org_1",
            "MINTONCE_CLIENTS__BILLING__KEEP_WARM": "true",
        },
    )

    assert settings.redis.timeout == 0.1
    assert settings.issuers["acme"].request == "form"
    assert settings.clients["billing"].extra == {"organization": "org_1"}
    assert settings.clients["billing"].keep_warm is True


def test_an_empty_variable_counts_as_none(smallest: dict[str, str]) -> None:
    """`${NAME:-}` in a compose file leaves an empty variable behind, which says nothing."""
    assert load(None, {**smallest, "MINTONCE_LISTEN": ""}).listen == "127.0.0.1:50051"


@pytest.mark.parametrize(
    "name",
    [
        "MINTONCE_SERVICE_HOST",
        "MINTONCE_SERVICE_PORT_GRPC",
        "MINTONCE_PORT",
        "MINTONCE_PORT_50051_TCP_ADDR",
        "MINTONCE_REDIS_PORT_6379_TCP",
        "MINTONCE_TARGET",
    ],
)
def test_what_others_put_into_the_environment_is_no_fault(smallest: dict[str, str], name: str) -> None:
    """Kubernetes tells pods about a Service called mintonce, and the client's program has a variable of its own."""
    assert load(None, {**smallest, name: "tcp://10.0.0.1:50051"}) == load(None, smallest)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("MINTONCE_REDSI_URL", "MINTONCE_REDIS_URL"), ("MINTONCE_REDIS_TIMEOUT", "MINTONCE_REDIS__TIMEOUT")],
)
def test_a_misspelled_variable_is_reported_with_its_likely_meaning(
    smallest: dict[str, str], wrong: str, meant: str
) -> None:
    """No variable with our prefix is ignored in silence."""
    (fault,) = issues_of(None, {**smallest, wrong: "x"})

    assert fault.where == f"variable {wrong}"
    assert meant in fault.remedy


def test_a_variable_in_small_letters_is_reported(smallest: dict[str, str]) -> None:
    """It would be ignored in silence: on most systems it is another variable."""
    (fault,) = issues_of(None, {**smallest, "mintonce_Redis__Timeout": "1s"})

    assert fault.where == "variable mintonce_Redis__Timeout"
    assert "MINTONCE_REDIS__TIMEOUT" in fault.remedy


@pytest.mark.parametrize(("name", "value"), [("mintonce_home", "/srv"), ("mintonce_listen", "")])
def test_other_variables_in_small_letters_are_not_ours(smallest: dict[str, str], name: str, value: str) -> None:
    assert load(None, {**smallest, name: value}) == load(None, smallest)


def test_a_header_is_written_with_underscores_in_a_variable(smallest: dict[str, str]) -> None:
    """No shell exports a variable with a hyphen, and hardly any header has an underscore."""
    headers = "MINTONCE_ISSUERS__DEFAULT__HEADERS__"
    settings = load(None, {**smallest, f"{headers}X_TENANT": "one", f"{headers}VIA": "us"})

    assert settings.issuers["default"].headers == {"x-tenant": "one", "via": "us"}


def test_a_header_in_a_variable_is_that_of_the_file(smallest: dict[str, str], tmp_path: Path) -> None:
    """Also one with an underscore, or with capitals: none is sent twice."""
    config = tmp_path / "mintonce.toml"
    config.write_text('[issuers.default]\nheaders = { "X-Tenant" = "file", "x_old" = "file" }')
    config.chmod(0o600)
    headers = "MINTONCE_ISSUERS__DEFAULT__HEADERS__"
    settings = load(config, {**smallest, f"{headers}X_TENANT": "one", f"{headers}X_OLD": "two"})

    assert settings.issuers["default"].headers == {"X-Tenant": "one", "x_old": "two"}


def test_nothing_set_says_what_is_needed() -> None:
    """A user who starts the program for the first time learns the names of the variables to set."""
    text = " ".join(map(str, issues_of(None, {})))

    for name in ("MINTONCE_OAUTH_DOMAIN", "MINTONCE_CLIENT_ID", "MINTONCE_CLIENT_SECRET_FILES", "MINTONCE_REDIS_URL"):
        assert name in text


def test_a_secret_and_a_file_for_it_are_one_too_many(smallest: dict[str, str], tmp_path: Path) -> None:
    """Which of the two counts is not guessed."""
    (fault,) = issues_of(None, {**smallest, "MINTONCE_CLIENT_SECRET_FILES": str(tmp_path / "secret")})

    assert fault.where == "variable MINTONCE_CLIENT_SECRET"
    assert "client_secret_files too" in fault.what


@pytest.mark.parametrize(
    "name",
    [
        "MINTONCE_CLIENT_ID",
        "MINTONCE_OAUTH_DOMAIN",
        "MINTONCE_CLIENTS__DEFAULT__EXTRA__A",
        "MINTONCE_CLIENTS__DEFAULT__ISSUER",
    ],
)
def test_a_variable_that_is_not_utf_8_is_one_fault(smallest: dict[str, str], name: str) -> None:
    """Python hides such bytes in lone surrogates, at which the log, the issuer or the store would choke later."""
    (fault,) = issues_of(None, {**smallest, name: b"caf\xe9".decode(errors="surrogateescape")})

    assert (fault.where, fault.what) == (f"variable {name}", "is not UTF-8 text")


def test_the_name_of_a_secret_file_that_is_not_utf_8_is_one_fault(smallest: dict[str, str]) -> None:
    """It is not looked for."""
    del smallest["MINTONCE_CLIENT_SECRET"]

    (fault,) = issues_of(None, {**smallest, "MINTONCE_CLIENT_SECRET_FILES": "\udce9"})

    assert fault.what == "is not UTF-8 text"


def test_json_in_a_variable_is_only_text(smallest: dict[str, str]) -> None:
    """pydantic-settings would decode it, and 007 would lose its zeros."""
    settings = load(
        None,
        {
            **smallest,
            "MINTONCE_CLIENTS__DEFAULT__EXTRA__ORGANIZATION": "007",
            "MINTONCE_CLIENTS__DEFAULT__EXTRA__NOTE": '{"a": [1]}',
        },
    )

    assert settings.clients["default"].extra == {"organization": "007", "note": '{"a": [1]}'}


@pytest.mark.parametrize("outer", ["MINTONCE_CLIENT_ID", "MINTONCE_CLIENTS__DEFAULT__CLIENT_ID"])
def test_a_variable_inside_of_another_one_is_a_fault(smallest: dict[str, str], outer: str) -> None:
    """One of the two would be ignored."""
    del smallest["MINTONCE_CLIENT_ID"]

    (fault,) = issues_of(None, {**smallest, outer: "x", "MINTONCE_CLIENTS__DEFAULT__CLIENT_ID__X": "y"})

    assert fault.where == "variable MINTONCE_CLIENTS__DEFAULT__CLIENT_ID__X"
    assert outer in fault.what


@pytest.mark.parametrize("name", ["MINTONCE_REDIS", "MINTONCE_CLIENTS", "MINTONCE_CLIENTS__DEFAULT"])
def test_a_variable_cannot_stand_for_a_table(smallest: dict[str, str], name: str) -> None:
    """Nor is it ignored because other variables fill that table."""
    assert f"variable {name}: is not a table" in "\n".join(map(str, issues_of(None, {**smallest, name: "{}"})))


def test_only_load_reads_the_environment(smallest: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the process's variables change what is loaded from others, nor any what is built by hand."""
    monkeypatch.setenv("MINTONCE_LOG_LEVEL", "debug")
    monkeypatch.setenv("LOG_LEVEL", "debug")

    loaded = load(None, smallest)
    by_hand = Settings(redis=loaded.redis, issuers=loaded.issuers, clients=loaded.clients)

    assert (loaded.log.level, by_hand.log.level) == ("info", "info")


def test_the_environment_of_the_process_is_the_default(
    smallest: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mintonced serve` needs no argument."""
    for name, value in smallest.items():
        monkeypatch.setenv(name, value)

    assert load() == load(None, smallest)
