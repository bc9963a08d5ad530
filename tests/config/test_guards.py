"""What must be set together, so that no caller gets in by an oversight."""

from pathlib import Path

import pytest

from mintonce_server.config import load
from support.certificates import Authority
from support.settings import issues_of

FAR = {"MINTONCE_LISTEN": "0.0.0.0:50051"}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with every file that settings may name, each closed to others. What is in them is not looked at here."""
    for name in ("server.pem", "server.key", "ca.pem", "policy.toml", "keys.toml", "sealing.toml", "jwks.json"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)
    return tmp_path


@pytest.fixture
def guarded(smallest: dict[str, str], files: Path) -> dict[str, str]:
    """A server that others reach, with all that keeps the wrong ones out."""
    return {
        **smallest,
        **FAR,
        "MINTONCE_AUDIENCES": "*",
        "MINTONCE_TLS__CERTIFICATE_FILE": str(files / "server.pem"),
        "MINTONCE_TLS__KEY_FILE": str(files / "server.key"),
        "MINTONCE_TLS__CLIENT_CA_FILE": str(files / "ca.pem"),
        "MINTONCE_TLS__TRUST_DOMAINS": "prod.example.com",
        "MINTONCE_POLICY_FILE": str(files / "policy.toml"),
        "MINTONCE_SEALING_KEYS_FILE": str(files / "sealing.toml"),
    }


def test_a_guarded_server_may_listen_everywhere(guarded: dict[str, str]) -> None:
    """TLS, identities, a policy and sealing keys: nothing need be said out loud."""
    assert load(None, guarded).tls is not None


@pytest.mark.parametrize(
    ("missing", "where"),
    [
        ("MINTONCE_POLICY_FILE", "MINTONCE_POLICY_FILE"),
        ("MINTONCE_SEALING_KEYS_FILE", "MINTONCE_SEALING_KEYS_FILE"),
        ("MINTONCE_TLS__TRUST_DOMAINS", "MINTONCE_TLS__TRUST_DOMAINS"),
        ("MINTONCE_TLS__KEY_FILE", "MINTONCE_TLS__KEY_FILE"),
        ("MINTONCE_TLS__CLIENT_CA_FILE", "MINTONCE_LISTEN"),
    ],
)
def test_each_part_of_the_guard_is_needed(guarded: dict[str, str], missing: str, where: str) -> None:
    """Without it the server does not start, and says what is missing."""
    del guarded[missing]

    (fault,) = issues_of(None, guarded)

    assert fault.where == f"variable {where}"


def test_a_far_store_needs_sealing_keys(smallest: dict[str, str]) -> None:
    """Who reads it, or its backups, must not have the tokens."""
    smallest["MINTONCE_REDIS_URL"] = "rediss://redis.internal:6379/0"

    (fault,) = issues_of(None, smallest)

    assert "keygen" in fault.remedy
    assert load(None, {**smallest, "MINTONCE_INSECURE_STORE": "true"}).insecure_store


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis.internal:6379/0",
        "redis://10.0.0.7",
        "redis://user:the-password@redis.internal/0",
        "redis+sentinel://127.0.0.1,redis.internal/service",
        "redis+cluster://localhost:7000,[2001:db8::7]:7001",
    ],
)
def test_a_store_in_clear_beyond_this_machine_must_be_said_out_loud(guarded: dict[str, str], url: str) -> None:
    """Sealing hides what is stored, and not the password of the one who may delete it."""
    guarded["MINTONCE_REDIS_URL"] = url

    (fault,) = issues_of(None, guarded)

    assert (fault.where, "rediss://" in fault.remedy) == ("variable MINTONCE_REDIS_URL", True)
    assert "MINTONCE_INSECURE_REDIS=true" in fault.remedy
    assert "the-password" not in str(fault)
    assert load(None, {**guarded, "MINTONCE_INSECURE_REDIS": "true"}).insecure_redis


@pytest.mark.parametrize(
    "url",
    [
        "rediss://redis.internal:6379/0",
        "rediss+sentinel://h1,h2/service",
        "rediss+cluster://h1,h2",
        "redis://localhost:6379/0",
        "redis://127.0.0.1",
        "redis:///0",
        "redis+sentinel://127.0.0.1:1,[::1]:2/service",
        "redis+cluster://127.0.0.1:7000,127.0.0.1:7001",
        "unix:///run/redis.sock",
    ],
)
def test_tls_loopback_and_unix_sockets_need_no_word(guarded: dict[str, str], url: str) -> None:
    """There is no peer on the path, or none that could read."""
    assert not load(None, {**guarded, "MINTONCE_REDIS_URL": url}).insecure_redis


def test_a_second_address_for_bearers_needs_an_issuer_or_keys(guarded: dict[str, str], files: Path) -> None:
    """A listener on which no caller could prove an identity is an oversight."""
    guarded["MINTONCE_BEARER_LISTEN"] = "0.0.0.0:50052"

    (fault,) = issues_of(None, guarded)

    assert "api_keys_file" in fault.remedy
    assert load(None, {**guarded, "MINTONCE_API_KEYS_FILE": str(files / "keys.toml")}).bearer_listen


@pytest.mark.parametrize("name", ["server.key", "sealing.toml"])
def test_a_key_that_others_may_read_is_refused(guarded: dict[str, str], files: Path, name: str) -> None:
    """It is no secret any more."""
    (files / name).chmod(0o640)

    (fault,) = issues_of(None, guarded)

    assert "chmod 600" in fault.remedy


@pytest.mark.parametrize("name", ["policy.toml", "ca.pem", "server.pem"])
def test_what_decides_may_be_read_but_not_written_by_others(guarded: dict[str, str], files: Path, name: str) -> None:
    """Who writes the policy, or says whom to trust, has every token."""
    (files / name).chmod(0o644)
    assert load(None, guarded).policy_file

    (files / name).chmod(0o664)
    (fault,) = issues_of(None, guarded)

    assert "go-w" in fault.remedy


def test_a_config_file_that_others_may_write_is_refused(smallest: dict[str, str], tmp_path: Path) -> None:
    """It names the issuers to which the secrets go."""
    config = tmp_path / "mintonce.toml"
    config.write_text("")
    config.chmod(0o666)

    (fault,) = issues_of(config, smallest)

    assert "can be written by others" in fault.what


def test_each_way_to_prove_a_client_needs_its_own(smallest: dict[str, str], files: Path) -> None:
    """A signed JWT needs a key, a certificate its key, and neither a secret."""
    del smallest["MINTONCE_CLIENT_SECRET"]
    jwt = {**smallest, "MINTONCE_ISSUERS__DEFAULT__AUTH": "private_key_jwt"}
    mtls = {**smallest, "MINTONCE_ISSUERS__DEFAULT__AUTH": "tls_client_auth"}

    assert [fault.where for fault in issues_of(None, jwt)] == ["variable MINTONCE_CLIENTS__DEFAULT__SIGNING_KEY_FILE"]
    assert [fault.where for fault in issues_of(None, mtls)] == [
        "variable MINTONCE_CLIENTS__DEFAULT__CERTIFICATE_FILE",
        "variable MINTONCE_CLIENTS__DEFAULT__KEY_FILE",
    ]
    jwt["MINTONCE_CLIENTS__DEFAULT__SIGNING_KEY_FILE"] = str(files / "server.key")
    assert load(None, jwt).clients["default"].client_secret is None


def test_keys_of_a_jwt_issuer_are_never_fetched_in_clear(smallest: dict[str, str], files: Path) -> None:
    """A peer on the path could name its own keys."""
    settings = {
        **smallest,
        "MINTONCE_POLICY_FILE": str(files / "policy.toml"),
        "MINTONCE_JWT_ISSUERS__K8S__ISSUER": "https://kubernetes.default.svc",
        "MINTONCE_JWT_ISSUERS__K8S__AUDIENCES": "mintonce",
    }
    (missing,) = issues_of(None, settings)
    (plain,) = issues_of(None, {**settings, "MINTONCE_JWT_ISSUERS__K8S__JWKS_URL": "http://issuer.example.com/keys"})

    assert "jwks_url" in missing.remedy
    assert "https" in plain.what


def test_a_bearer_for_keys_is_a_secret_that_goes_to_a_url(smallest: dict[str, str], files: Path) -> None:
    """Others may not read its file; and without a URL it would go nowhere."""
    bearer = files / "bearer"
    bearer.write_text("a-token")
    bearer.chmod(0o600)
    settings = {
        **smallest,
        "MINTONCE_POLICY_FILE": str(files / "policy.toml"),
        "MINTONCE_JWT_ISSUERS__K8S__ISSUER": "https://kubernetes.default.svc",
        "MINTONCE_JWT_ISSUERS__K8S__AUDIENCES": "mintonce",
        "MINTONCE_JWT_ISSUERS__K8S__JWKS_URL": "https://kubernetes.default.svc/openid/v1/jwks",
        "MINTONCE_JWT_ISSUERS__K8S__JWKS_BEARER_FILE": str(bearer),
    }
    assert load(None, settings).jwt_issuers["k8s"].jwks_bearer_file == bearer

    bearer.chmod(0o644)
    (open_file,) = issues_of(None, settings)
    assert "chmod 600" in open_file.remedy

    bearer.chmod(0o600)
    from_file = {name: value for name, value in settings.items() if not name.endswith("JWKS_URL")}
    (useless,) = issues_of(None, {**from_file, "MINTONCE_JWT_ISSUERS__K8S__JWKS_FILE": str(files / "jwks.json")})
    assert useless.where == "variable MINTONCE_JWT_ISSUERS__K8S__JWKS_BEARER_FILE"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS1", "rs256"])
def test_no_algorithm_with_a_shared_secret_can_be_set(smallest: dict[str, str], files: Path, algorithm: str) -> None:
    """A public key must never be taken for a secret."""
    settings = {
        **smallest,
        "MINTONCE_POLICY_FILE": str(files / "policy.toml"),
        "MINTONCE_JWT_ISSUERS__K8S__ISSUER": "https://kubernetes.default.svc",
        "MINTONCE_JWT_ISSUERS__K8S__AUDIENCES": "mintonce",
        "MINTONCE_JWT_ISSUERS__K8S__JWKS_FILE": str(files / "jwks.json"),
    }
    assert load(None, settings).jwt_issuers

    assert issues_of(None, {**settings, "MINTONCE_JWT_ISSUERS__K8S__ALGORITHMS": algorithm})


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_tls_files_of_redis_are_closed_to_others(smallest: dict[str, str], tmp_path: Path, option: str) -> None:
    """Others may not write them, and a key they may not even read."""
    issued, ca = Authority(tmp_path).issue("mintonce"), Authority(tmp_path, "redis").ca
    files = {"ssl_ca_certs": ca, "ssl_certfile": issued.certificate, "ssl_keyfile": issued.key}
    url = "rediss://127.0.0.1/0?" + "&".join(f"{name}={file}" for name, file in files.items())
    given = {**smallest, "MINTONCE_REDIS_URL": url}
    for name, file in files.items():
        file.chmod(0o600 if name == "ssl_keyfile" else 0o644)
    assert load(None, given).redis.safe_url == "rediss://127.0.0.1/0"

    files[option].chmod(0o644 if option == "ssl_keyfile" else 0o664)
    (fault,) = issues_of(None, given)

    assert option in fault.what
    assert "chmod" in fault.remedy


@pytest.mark.parametrize("listener", ["MINTONCE_LISTEN", "MINTONCE_BEARER_LISTEN"])
def test_any_audience_must_be_said_out_loud_beyond_loopback(
    guarded: dict[str, str], files: Path, listener: str
) -> None:
    """It is the only default that leaves something open."""
    del guarded["MINTONCE_LISTEN"], guarded["MINTONCE_AUDIENCES"]
    guarded |= {listener: "0.0.0.0:50052", "MINTONCE_API_KEYS_FILE": str(files / "keys.toml")}

    (issue,) = issues_of(None, guarded)

    assert issue.where == "variable MINTONCE_AUDIENCES"
    assert 'audiences = ["*"] (MINTONCE_AUDIENCES=*)' in issue.remedy
    assert load(None, {**guarded, "MINTONCE_AUDIENCES": "*"}).clients["default"].audiences == ("*",)


def test_the_second_secret_file_may_be_absent(smallest: dict[str, str], tmp_path: Path) -> None:
    """It is there only while a secret is rotated. If it is there, it must be closed to others like the first."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch(mode=0o600)
    first.write_text("a")
    del smallest["MINTONCE_CLIENT_SECRET"]
    smallest["MINTONCE_CLIENT_SECRET_FILES"] = f"{first}, {second}"
    assert load(None, smallest).clients["default"].client_secret_files == (first, second)

    second.touch(mode=0o644)
    (issue,) = issues_of(None, smallest)
    assert "chmod 600" in issue.remedy

    first.unlink()
    second.chmod(0o600)
    (issue,) = issues_of(None, smallest)
    assert issue.where == "variable MINTONCE_CLIENT_SECRET_FILES"


def test_more_than_two_secrets_of_a_client_are_refused(smallest: dict[str, str], tmp_path: Path) -> None:
    """Issuers accept at most two, while one is rotated."""
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_text("a")
    del smallest["MINTONCE_CLIENT_SECRET"]

    (issue,) = issues_of(None, {**smallest, "MINTONCE_CLIENT_SECRET_FILES": ",".join([str(file)] * 3)})

    assert issue.where == "variable MINTONCE_CLIENT_SECRET_FILES"
