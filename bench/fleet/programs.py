"""What is measured: real replicas, a practice issuer and a Valkey, each a process of its own."""

import asyncio
import json
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from bench.fleet.tied import tied
from mintonce_dev.valkey import EmbeddedValkey

START_WITHIN: Final = 30.0
STOP_WITHIN: Final = 20.0
CLIENT_ID: Final = "bench"
TESTS: Final = Path(__file__).parents[2] / "tests"
STEP: Final = 0.02


@dataclass(frozen=True)
class Program:
    """A replica. `target`: what callers dial."""

    target: str
    pid: int


@dataclass(frozen=True)
class Issuer:
    """A practice issuer, with the throw-away secret of its one client."""

    url: str
    secret: str

    @property
    def token_url(self) -> str:
        return f"{self.url}/oauth/token"

    async def latency(self, seconds: float) -> None:
        """From now on it takes this long to answer."""
        async with httpx.AsyncClient(trust_env=False) as http:
            (await http.put(f"{self.url}/fault", json={"latency": seconds})).raise_for_status()

    async def minted(self) -> int:
        """How many tokens it gave so far."""
        async with httpx.AsyncClient(trust_env=False) as http:
            return int((await http.get(f"{self.url}/posts")).json()["minted"])


class Surroundings:
    """A directory, a Valkey, and whatever is started in there. Use `surroundings`."""

    def __init__(self, directory: Path, valkey: EmbeddedValkey, running: AsyncExitStack) -> None:
        self.redis_url = valkey.url
        self.redis_pid = valkey.pid
        self._directory = directory
        self._running = running
        self._started = 0

    async def issuer(self, lifetime: float = 86_400.0) -> Issuer:
        """One whose tokens live this long."""
        secret = secrets.token_urlsafe(24)
        file = self._directory / f"secret-{self._number()}"
        file.touch(0o600)
        file.write_text(secret)
        words = ("--client-id", CLIENT_ID, "--secret-file", str(file), "--lifetime", str(lifetime))
        process = await self._start("support.faulty_issuer", words, {"PYTHONPATH": str(TESTS)}, asyncio.subprocess.PIPE)
        assert process.stdout, "asked for above"
        async with asyncio.timeout(START_WITHIN):
            said = (await process.stdout.readline()).decode().split()
        token_url = next((word for word in said if word.endswith("/oauth/token")), None)
        if token_url is None:
            raise RuntimeError("the practice issuer did not start; its own words are above")
        return Issuer(token_url.removesuffix("/oauth/token"), secret)

    def environ(self, issuer: Issuer) -> dict[str, str]:
        """The settings of a replica."""
        settings = {
            "LISTEN": "127.0.0.1:0",
            "OAUTH_DOMAIN": issuer.url,
            "CLIENT_ID": CLIENT_ID,
            "CLIENT_SECRET": issuer.secret,
            "REDIS_URL": self.redis_url,
        }
        return {f"MINTONCE_{name}": value for name, value in settings.items()}

    async def replica(self, issuer: Issuer, **more: str) -> Program:
        """One more. `more`: settings without their MINTONCE_ prefix."""
        environ = self.environ(issuer) | {f"MINTONCE_{name}": value for name, value in more.items()}
        log = self._directory / f"replica-{self._number()}.log"
        with log.open("wb") as stderr:
            process = await self._start("mintonce_server", ("serve",), environ, stderr=stderr.fileno(), log=log)
        async with asyncio.timeout(START_WITHIN):
            while (serving := _serving(log)) is None:
                if process.returncode is not None:
                    raise RuntimeError(f"a replica did not start:\n{log.read_text()}")
                await asyncio.sleep(STEP)
        return Program(str(serving["listen"]), process.pid)

    async def floor(self) -> Program:
        """A server of bench/fleet/floor.py."""
        environ = {"BENCH_REDIS_URL": self.redis_url}
        process = await self._start("bench.fleet.floor", (), environ, asyncio.subprocess.PIPE)
        assert process.stdout, "asked for above"
        async with asyncio.timeout(START_WITHIN):
            target = (await process.stdout.readline()).decode().strip()
        if not target:
            raise RuntimeError("a floor server did not start; its own words are above")
        return Program(target, process.pid)

    async def _start(
        self,
        module: str,
        words: Sequence[str],
        environ: Mapping[str, str],
        stdout: int | None = None,
        stderr: int | None = None,
        log: Path | None = None,
    ) -> asyncio.subprocess.Process:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MINTONCE_")}
        process = await asyncio.create_subprocess_exec(
            *tied(module, *words), env={**inherited, **environ}, stdout=stdout, stderr=stderr
        )
        self._running.push_async_callback(_end, process, log)
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


def _serving(log: Path) -> dict[str, Any] | None:
    """The line in which a replica says that it serves."""
    for line in log.read_text().splitlines(keepends=True):
        if line.endswith("\n") and '"serving"' in line:
            return dict(json.loads(line))
    return None


async def _end(process: asyncio.subprocess.Process, log: Path | None) -> None:
    """If it failed, its log says why: the callers only saw it hang up."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    if process.returncode and log is not None:
        print(f"a replica ended with code {process.returncode}:\n{_tail(log)}", file=sys.stderr)


def _tail(log: Path) -> str:
    return log.read_text()[-4000:]
