"""What is measured and what surrounds it, each a process of its own: servers, a practice issuer, a Valkey."""

import asyncio
import json
import os
import secrets
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import httpx

from mintonce_dev import die_with_parent
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.auth.api_keys import new_api_key
from mintonce_server.store.keyring import new_keyring
from support.certificates import Authority, Issued

START_WITHIN: Final = 30.0
STOP_WITHIN: Final = 20.0
CLIENT: Final = "default"
"""The name of the one client that environment variables register."""
CLIENT_ID: Final = "bench"
CALLER: Final = "spiffe://bench.example.com/caller"
POLICY: Final = f"""
[[rules]]
name = "bench"
callers = ["{CALLER}", "key:{CLIENT}"]
clients = ["{CLIENT}"]
audiences = ["*"]
scopes = ["*"]
"""


@dataclass(frozen=True)
class Program:
    """A server under measurement.

    Attributes:
        target: what callers dial, in clear or with these credentials.
        door: URL of its token endpoint, if it has one.
    """

    target: str
    pid: int
    credentials: grpc.ChannelCredentials | None = None
    door: str = ""

    def cpu(self) -> float:
        """Seconds that all its threads have used so far (clock_getcpuclockid(3); Linux only)."""
        return time.clock_gettime(~self.pid << 3 | 2)

    def resident_bytes(self) -> int:
        """Memory that it has now (proc(5))."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Issuer:
    """A practice issuer, with the throw-away secret of its one client."""

    url: str
    secret: str = field(repr=False)

    @property
    def token_url(self) -> str:
        return f"{self.url}/oauth/token"

    async def minted(self) -> int:
        """How many tokens it has issued so far."""
        async with httpx.AsyncClient(trust_env=False) as http:
            return int((await http.get(f"{self.url}/posts")).json()["minted"])


class Guard:
    """The recommended protection of a server: mutual TLS, a policy, an audit log, sealed tokens."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = Authority(directory)
        self._server = self._authority.server()

    def settings(self) -> Mapping[str, str]:
        """For `mintonced serve`."""
        return {
            "TLS__CERTIFICATE_FILE": str(self._server.certificate),
            "TLS__KEY_FILE": str(self._server.key),
            "TLS__CLIENT_CA_FILE": str(self._authority.ca),
            "TLS__TRUST_DOMAINS": "bench.example.com",
            "POLICY_FILE": str(_private(self._directory / "policy.toml", POLICY)),
            "SEALING_KEYS_FILE": str(_private(self._directory / "sealing.toml", new_keyring())),
            "AUDIT_FILE": str(self._directory / "audit.jsonl"),
        }

    def api_key(self) -> tuple[Mapping[str, str], str]:
        """Settings for a server that knows one more caller, by its API key; and that key."""
        key, line = new_api_key(CLIENT)
        file = _private(self._directory / "api-keys.toml", f"[keys]\n{line}\n")
        return {"API_KEYS_FILE": str(file)}, key.reveal()

    def trusting(self) -> ssl.SSLContext:
        """For callers over HTTPS."""
        return ssl.create_default_context(cafile=self._authority.ca)

    def files(self) -> str:
        """For bench/empty.py."""
        return ":".join(map(str, (self._server.certificate, self._server.key, self._authority.ca)))

    def caller(self) -> grpc.ChannelCredentials:
        """What a caller shows."""
        shown: Issued = self._authority.caller(CALLER)
        return grpc.ssl_channel_credentials(
            self._authority.ca.read_bytes(), shown.key.read_bytes(), shown.certificate.read_bytes()
        )


class Surroundings:
    """A directory, a Valkey, and the programs started there. Use `surroundings`."""

    def __init__(self, directory: Path, valkey: EmbeddedValkey, running: AsyncExitStack) -> None:
        self.redis_url = valkey.url
        self.guard = Guard(directory)
        self._directory = directory
        self._running = running
        self._started = 0

    async def issuer(self, lifetime: float = 86_400.0) -> Issuer:
        """One whose tokens live this long."""
        secret = secrets.token_urlsafe(24)
        file = _private(self._directory / f"secret-{self._number()}", secret)
        words = ("--client-id", CLIENT_ID, "--secret-file", str(file), "--lifetime", str(lifetime))
        process = await self._start("mintonce_dev.practice_issuer", words, {}, asyncio.subprocess.PIPE)
        said = (await _first_line(process)).split()
        token_url = next(word for word in said if word.endswith("/oauth/token"))
        return Issuer(token_url.removesuffix("/oauth/token"), secret)

    def settings(self, issuer: Issuer) -> dict[str, str]:
        """The smallest set, without the MINTONCE_ prefix."""
        return {
            "LISTEN": "127.0.0.1:0",
            "OAUTH_DOMAIN": issuer.url,
            "CLIENT_ID": CLIENT_ID,
            "CLIENT_SECRET": issuer.secret,
            "REDIS_URL": self.redis_url,
        }

    async def server(self, issuer: Issuer, more: Mapping[str, str] | None = None, *, guarded: bool = False) -> Program:
        """`mintonced serve`. `more`: settings as above."""
        settings = self.settings(issuer) | (dict(self.guard.settings()) if guarded else {}) | dict(more or {})
        environ = {f"MINTONCE_{name}": value for name, value in settings.items()}
        log = self._directory / f"server-{self._number()}.log"
        with log.open("wb") as stderr:
            process = await self._start("mintonce_server", ("serve",), environ, stderr=stderr.fileno())
        async with asyncio.timeout(START_WITHIN):
            while (serving := _serving(log)) is None:
                if process.returncode is not None:
                    raise RuntimeError(f"mintonced did not start:\n{log.read_text()}")
                await asyncio.sleep(0.02)  # another process writes the log: nothing here hears of it
        credentials = self.guard.caller() if guarded else None
        return Program(str(serving["listen"]), process.pid, credentials, str(serving.get("token_endpoint", "")))

    async def empty(self, *, guarded: bool = False) -> Program:
        """bench/empty.py."""
        environ = {"BENCH_TLS": self.guard.files()} if guarded else {}
        process = await self._start("bench.empty", (), environ, asyncio.subprocess.PIPE)
        return Program(await _first_line(process), process.pid, self.guard.caller() if guarded else None)

    async def bare_mint(self, issuer: Issuer) -> Program:
        """bench/bare_mint.py."""
        credentials = {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": issuer.secret,
        }
        settings = {"redis_url": self.redis_url, "token_url": issuer.token_url, "credentials": credentials}
        log = self._directory / f"bare-{self._number()}.log"
        with log.open("wb") as stderr:
            environ = {"BENCH_MINT": json.dumps(settings)}
            process = await self._start("bench.bare_mint", (), environ, asyncio.subprocess.PIPE, stderr=stderr.fileno())
        return Program(await _first_line(process), process.pid)

    async def _start(
        self,
        module: str,
        words: Sequence[str],
        environ: Mapping[str, str],
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> asyncio.subprocess.Process:
        """It ends with this process, even if that is killed."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MINTONCE_")}
        tied = (sys.executable, "-I", "-S", str(die_with_parent.__file__), str(os.getpid()))
        process = await asyncio.create_subprocess_exec(
            *(*tied, sys.executable, "-m", module, *words), env={**inherited, **environ}, stdout=stdout, stderr=stderr
        )
        self._running.push_async_callback(_end, process)
        return process

    def _number(self) -> int:
        self._started += 1
        return self._started


@asynccontextmanager
async def surroundings() -> AsyncGenerator[Surroundings]:
    """Everything ends with the block."""
    with tempfile.TemporaryDirectory(prefix="mintonce-bench-") as name:
        async with EmbeddedValkey(Path(name) / "valkey", persist=False) as valkey, AsyncExitStack() as running:
            yield Surroundings(Path(name), valkey, running)


def _private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


async def _first_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout, "a pipe was requested"
    async with asyncio.timeout(START_WITHIN):
        line = (await process.stdout.readline()).decode().strip()
    if not line:
        raise RuntimeError("a program did not start; its own output is above")
    return line


def _serving(log: Path) -> dict[str, Any] | None:
    """The log line in which a server says that it serves."""
    for line in log.read_text().splitlines(keepends=True):
        if line.endswith("\n") and '"serving"' in line:
            return dict(json.loads(line))
    return None


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
