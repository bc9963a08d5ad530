"""What callers' proofs are held against, and who hears of its changes."""

import asyncio
from pathlib import Path

import pytest

from mintonce_server.auth.api_keys import new_api_key
from mintonce_server.auth.jwks import JwksUrl
from mintonce_server.common.clock import SystemClock
from mintonce_server.config import Settings, load
from mintonce_server.core.errors import MintonceError
from mintonce_server.reload.access import AccessFiles, Version
from mintonce_server.reload.files import Reloader
from mintonce_server.reload.issuer_files import client_credentials
from mintonce_server.store.keyring import new_keyring
from support.certificates import Authority
from support.clocks import ManualClock
from support.jwts import Signer
from support.signing import pem, private_key
from support.waiting import wait_until

POLICY = '[[rules]]\nname = "a"\ncallers = ["*"]\nclients = ["*"]\naudiences = ["*"]\n'


def test_a_version_changes_when_one_of_its_values_is_replaced() -> None:
    """Also by an equal one, and by the first: a source may have none yet."""
    values: list[object] = [None, ["a"]]

    def first() -> object:
        if values[0] is None:
            raise MintonceError("there is none yet", remedy="Wait.")
        return values[0]

    version = Version()
    version.follow(first)
    version.follow(lambda: values[1])
    none_yet, still = version(), version()
    values[1] = ["a"]
    replaced, again = version(), version()
    values[0] = 7
    assert none_yet == still != replaced == again != version()


class Bench:
    """All files that guard something, an AccessFiles that loads them, and what its reloader says."""

    def __init__(self, directory: Path, more: dict[str, str] | None = None) -> None:
        self.directory = directory
        self.loaded: list[str] = []
        self.trouble: list[MintonceError] = []
        self.clock = ManualClock()
        signer, (_, api_key) = Signer("one", "ES256"), new_api_key("billing")
        served = Authority(directory).server()
        self.contents = {
            "policy.toml": POLICY.encode(),
            "keys.toml": f"[keys]\n{api_key}\n".encode(),
            "jwks.json": signer.jwks(),
            "sealing.toml": new_keyring().encode(),
            "secret": b"secret-canary",
            "server.crt": served.certificate.read_bytes(),
            "server.key": served.key.read_bytes(),
            "signing.pem": pem(private_key("ES256")),
            "client.crt": served.certificate.read_bytes(),
            "client.key": served.key.read_bytes(),
        }
        for name in self.contents:
            self.write(name)
        settings = load(None, self._environ() | {f"MINTONCE_{name}": text for name, text in (more or {}).items()})
        self.changes = 0
        self.files = AccessFiles(settings, self.clock)
        self.files.notify(on_access=self._count, on_credentials=lambda: None)
        self.credentials = {
            name: client_credentials(name, client, self.files) for name, client in settings.clients.items()
        }
        self.reloader = Reloader(
            self.files.values,
            self.clock,
            on_loaded=self.loaded.append,
            on_error=lambda _, error: self.trouble.append(error),
        )

    def _count(self) -> None:
        self.changes += 1

    def write(self, name: str, more: bytes = b"") -> Path:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_bytes(self.contents[name] + more)
        return path

    def _environ(self) -> dict[str, str]:
        named = {
            "POLICY_FILE": "policy.toml",
            "API_KEYS_FILE": "keys.toml",
            "JWT_ISSUERS__CLUSTER__JWKS_FILE": "jwks.json",
            "SEALING_KEYS_FILE": "sealing.toml",
            "CLIENT_SECRET_FILES": "secret",
            "TLS__CERTIFICATE_FILE": "server.crt",
            "TLS__KEY_FILE": "server.key",
            "CLIENTS__SIGNS__SIGNING_KEY_FILE": "signing.pem",
            "CLIENTS__SHOWS__CERTIFICATE_FILE": "client.crt",
            "CLIENTS__SHOWS__KEY_FILE": "client.key",
        }
        plain = {
            "OAUTH_DOMAIN": "acme.example.com",
            "CLIENT_ID": "id",
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "JWT_ISSUERS__CLUSTER__ISSUER": "https://issuer.example.com",
            "JWT_ISSUERS__CLUSTER__AUDIENCES": "mintonce",
            "ISSUERS__SIGNED__DOMAIN": "acme.example.com",
            "ISSUERS__SIGNED__AUTH": "private_key_jwt",
            "ISSUERS__SHOWN__DOMAIN": "acme.example.com",
            "ISSUERS__SHOWN__AUTH": "tls_client_auth",
            "CLIENTS__SIGNS__ISSUER": "signed",
            "CLIENTS__SIGNS__CLIENT_ID": "id",
            "CLIENTS__SHOWS__ISSUER": "shown",
            "CLIENTS__SHOWS__CLIENT_ID": "id",
        }
        files = {name: str(self.directory / file) for name, file in named.items()}
        return {f"MINTONCE_{name}": value for name, value in (plain | files).items()}


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("secret", 0o644),
        ("secret", 0o640),
        ("sealing.toml", 0o604),
        ("server.key", 0o644),
        ("server.crt", 0o666),
        ("policy.toml", 0o666),
        ("keys.toml", 0o620),
        ("jwks.json", 0o602),
        ("signing.pem", 0o644),
        ("client.key", 0o640),
        ("client.crt", 0o666),
    ],
)
async def test_a_file_that_others_can_get_at_is_refused_when_it_is_read_again(
    tmp_path: Path, name: str, mode: int
) -> None:
    """As at the start: whether it has changed or not. What was loaded before goes on, until the file is closed."""
    bench = Bench(tmp_path)
    path = tmp_path / name
    path.chmod(mode)
    for _ in range(4):  # files that belong together may be at odds for a moment
        await bench.reloader.check()
    assert len(bench.trouble) == 1
    assert str(path) in str(bench.trouble[0])
    assert "by others" in str(bench.trouble[0])
    assert "chmod" in bench.trouble[0].remedy

    bench.write(name, b"\n")
    for _ in range(4):
        await bench.reloader.check()
    assert bench.loaded == []

    path.chmod(0o600)
    await bench.reloader.check()
    assert len(bench.loaded) == 1


def test_at_the_start_the_algorithm_is_that_of_the_signing_key_or_fits_it(tmp_path: Path) -> None:
    """The error names file and setting."""
    assert (signing_key := Bench(tmp_path).credentials["signs"].signing_key) is not None
    assert signing_key().algorithm == "ES256"
    with pytest.raises(MintonceError, match=r"signing\.pem: RS256 needs an RSA key of at least 2048 bits") as caught:
        Bench(tmp_path, {"CLIENTS__SIGNS__SIGNING_ALGORITHM": "RS256"})
    assert "signing_algorithm" in caught.value.remedy


async def test_a_new_secret_in_an_open_file_is_not_taken(tmp_path: Path) -> None:
    """Another user may know it, or may have written it."""
    bench = Bench(tmp_path)
    bench.contents["secret"] = b"another-canary"
    bench.write("secret").chmod(0o644)
    await bench.reloader.check()
    assert [secret.reveal() for secret in bench.credentials["default"].secrets()] == ["secret-canary"]
    (tmp_path / "secret").chmod(0o600)
    await bench.reloader.check()
    assert [secret.reveal() for secret in bench.credentials["default"].secrets()] == ["another-canary"]


@pytest.mark.parametrize(
    ("name", "proves"),
    [("keys.toml", True), ("jwks.json", True), ("server.crt", True), ("policy.toml", False), ("secret", None)],
)
async def test_a_changed_file_notifies_the_watches_that_it_concerns(
    tmp_path: Path, name: str, proves: bool | None
) -> None:
    """Callers are proved again when proofs are held against something else; a policy is only held against them."""
    bench = Bench(tmp_path)
    before = bench.files.identities()
    bench.write(name, b"\n")
    for _ in range(4):  # files that belong together may be at odds for a moment
        await bench.reloader.check()
    assert len(bench.loaded) == 1
    assert bench.changes == (0 if proves is None else 1)
    assert (bench.files.identities() != before) is bool(proves)


async def test_a_bearer_for_fetched_keys_is_read_again(tmp_path: Path) -> None:
    """Kubernetes replaces it every few minutes. No caller is concerned."""
    bearer = tmp_path / "bearer"
    bearer.write_text("first-bearer")
    bearer.chmod(0o600)
    url = {"URL": "https://127.0.0.1:1/keys", "BEARER_FILE": str(bearer)}
    issuer = {"ISSUER": "https://api.example.com", "AUDIENCES": "mintonce"}
    named = {f"JWKS_{name}": text for name, text in url.items()} | issuer
    bench = Bench(tmp_path, {f"JWT_ISSUERS__API__{name}": text for name, text in named.items()})
    (value,) = [value for value in bench.files.values if value.name == "jwks_bearer_file of api"]
    assert value().reveal() == "first-bearer"

    bearer.write_text("second-bearer")
    await bench.reloader.check()
    assert value().reveal() == "second-bearer"
    assert bench.changes == 0


def fetching(directory: Path) -> Settings:
    """With keys that come from a URL."""
    policy = directory / "policy.toml"
    policy.touch(mode=0o600)
    policy.write_text(POLICY)
    return load(
        None,
        {
            "MINTONCE_OAUTH_DOMAIN": "acme.example.com",
            "MINTONCE_CLIENT_ID": "id",
            "MINTONCE_CLIENT_SECRET": "secret",
            "MINTONCE_REDIS_URL": "redis://127.0.0.1:1/0",
            "MINTONCE_POLICY_FILE": str(policy),
            "MINTONCE_JWT_ISSUERS__CLUSTER__ISSUER": "https://issuer.example.com",
            "MINTONCE_JWT_ISSUERS__CLUSTER__AUDIENCES": "mintonce",
            "MINTONCE_JWT_ISSUERS__CLUSTER__JWKS_URL": "https://127.0.0.1:1/keys",
        },
    )


async def test_keys_that_were_fetched_again_notify_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file changes then, so the server has to check."""
    told: list[int] = []
    fetched = [object()]

    def newest(_: JwksUrl) -> object:
        return fetched[0]

    monkeypatch.setattr(JwksUrl, "__call__", newest)
    files = AccessFiles(fetching(tmp_path), SystemClock(), interval=0.1)
    files.notify(on_access=lambda: told.append(1), on_credentials=lambda: None)
    looking = asyncio.create_task(files.endless["fetched keys"]())
    try:
        await asyncio.sleep(0)
        fetched[0] = object()
        await wait_until(lambda: told)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    assert told == [1]


async def test_a_second_secret_may_come_and_go(tmp_path: Path) -> None:
    """It is tried from the moment that its file appears, without a restart."""
    changes: list[None] = []
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch(mode=0o600)
    first.write_text("secret-one")
    settings = load(
        None,
        {
            "MINTONCE_OAUTH_DOMAIN": "acme.example.com",
            "MINTONCE_CLIENT_ID": "id",
            "MINTONCE_CLIENT_SECRET_FILES": f"{first},{second}",
            "MINTONCE_REDIS_URL": "redis://127.0.0.1:1/0",
        },
    )
    files = AccessFiles(settings, ManualClock())
    files.notify(on_access=lambda: None, on_credentials=lambda: changes.append(None))
    credentials = client_credentials("default", settings.clients["default"], files)
    trouble: list[MintonceError] = []
    reloader = Reloader(
        files.values, ManualClock(), on_loaded=lambda _: None, on_error=lambda _, error: trouble.append(error)
    )

    async def now() -> list[str]:
        await reloader.check()
        return [secret.reveal() for secret in credentials.secrets()]

    assert await now() == ["secret-one"]
    second.touch(mode=0o600)
    second.write_text("secret-two")
    assert await now() == ["secret-one", "secret-two"]
    second.unlink()
    assert await now() == ["secret-one"]
    assert (len(changes), trouble) == (2, [])

    first.unlink()
    assert await now() == ["secret-one"]
    assert len(trouble) == 1
