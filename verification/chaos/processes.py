"""The programs of a fault run, each a process that can be killed, stopped and started: replicas, an issuer."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

import httpx
from history.checker import End, Post
from history.logs import read_posts
from history.story import told_once

from mintonce import ApiKeyFile, AsyncTokenClient
from mintonce_dev import die_with_parent
from support import measured_server
from support.faulty_issuer import NONE, Fault
from support.surroundings import CLIENT_ID, CLIENT_SECRET

LAST_WORDS: Final = 400
"""Characters of its log that are shown of a process that ended by itself."""
START_WITHIN: Final = 30.0
STOP_WITHIN: Final = 15.0
_STEP: Final = 0.02
TESTS: Final = Path(measured_server.__file__).parents[1]


class Program:
    """A process that dies with this one, and what it says on stdout or stderr.

    Attributes:
        ends: each time that it ended though it was not told to.
    """

    name: str

    def __init__(self, name: str, said: Path) -> None:
        self.name = name
        self.said = said
        self.ends: list[End] = []
        self._process: asyncio.subprocess.Process | None = None
        self._stopped = False
        self._told = False
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Perhaps stopped."""
        return self._process is not None and self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        """Of the process that ended last; None while one runs. Negative: the signal that ended it."""
        return None if self._process is None else self._process.returncode

    @property
    def stopped(self) -> bool:
        """By SIGSTOP."""
        return self.running and self._stopped

    async def launch(self, words: Sequence[str], environ: Mapping[str, str], ready: str) -> None:
        """Until it has said the word."""
        before = self.said.stat().st_size if self.said.exists() else 0
        with self.said.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), sys.executable, *words),
                env=environ,
                cwd=self.said.parent,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._told = False
        self._watch = asyncio.create_task(self._watch_end(self._process), name=f"end of {self.name}")
        async with asyncio.timeout(START_WITHIN):
            while ready.encode() not in self._since(before):
                assert self.running, self.said.read_text(errors="replace")[-2000:]
                await asyncio.sleep(_STEP)

    async def _watch_end(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        if not self._told:
            last = self.said.read_text(errors="replace").rpartition("Traceback")[2][-LAST_WORDS:]
            self.ends.append(End(time.time(), self.name, f"exit code {code}; {last.strip()}"))

    def _since(self, offset: int) -> bytes:
        with self.said.open("rb") as file:
            file.seek(offset)
            return file.read().rpartition(b"\n")[0]

    def stop(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)
        self._stopped = True

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)
        self._stopped = False

    async def kill(self) -> None:
        """SIGKILL; it need not run."""
        if self._process is not None:
            self._told = True
            with suppress(ProcessLookupError):  # it ended by itself
                self._process.kill()
            await self._ended()

    async def leave(self) -> None:
        """SIGTERM, and SIGKILL if that does not help."""
        if self._process is None:
            return
        if self.running:
            self._told = True
            self.resume()
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_WITHIN):
                await self._ended()
        except TimeoutError:
            await self.kill()

    async def _ended(self) -> None:
        if self._process is not None:
            await self._process.wait()
        if self._watch is not None:
            await self._watch


class Member(Program):
    """A replica. Unless its settings name a port it comes back at another one: take `client` again for each call.

    Attributes:
        settings: variables without their MINTONCE_ prefix.
        variables: more of its environment, by their full names.
        skews: for each start, where in the log it begins, and the seconds by which its wall clock is ahead.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        settings: Mapping[str, str],
        variables: Mapping[str, str] | None = None,
        keys: Mapping[str, Path] | None = None,
    ) -> None:
        """`keys`: a file with an API key for each caller, the usual one first. None: callers have no names."""
        super().__init__(name, directory / f"{name}.log")
        self.skews: list[tuple[int, float]] = []
        self.settings = settings
        self.variables = variables or {}
        self._keys: Mapping[str, Path | None] = keys or {"": None}
        self._clients: dict[str, AsyncTokenClient] = {}
        self._old: list[AsyncTokenClient] = []

    @property
    def client(self) -> AsyncTokenClient:
        """The usual caller's, to the process that was started last."""
        assert self._clients, f"{self.name} was never started"
        return next(iter(self._clients.values()))

    def as_caller(self, name: str) -> AsyncTokenClient:
        """That caller's."""
        return self._clients[name]

    async def start(self, skew: float = 0.0) -> None:
        """Until it serves."""
        self.skews.append((self.said.stat().st_size if self.said.exists() else 0, skew))
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MINTONCE_")}
        environ |= {f"MINTONCE_{name}": value for name, value in self.settings.items()} | dict(self.variables)
        await self.launch([measured_server.PROGRAM, str(skew), "serve"], environ, '"event": "serving"')
        self._connect()

    def _connect(self) -> None:
        marker = b'"listen": "'
        target = self.said.read_bytes().rpartition(marker)[2].partition(b'"')[0].decode()
        self._old += self._clients.values()
        self._clients = {
            name: AsyncTokenClient(target, bearer=False if key is None else ApiKeyFile(key))
            for name, key in self._keys.items()
        }

    async def reconnect(self) -> None:
        """Close all connections to it, and begin with a new client."""
        self._connect()
        await self.hang_up()

    async def hang_up(self) -> None:
        """Close the clients of processes that are gone."""
        old, self._old = self._old, []
        for client in old:
            await client.close()

    async def close(self) -> None:
        """For good, with all clients."""
        self._old += self._clients.values()
        self._clients = {}
        await self.hang_up()
        await self.leave()


class IssuerProgram(Program):
    """The practice issuer. Its POST log goes on when it is started again.

    Attributes:
        secret: of its only client, from the next start on.
    """

    def __init__(
        self,
        directory: Path,
        port: int,
        lifetimes: Mapping[str, float],
        lifetime: float,
        client_id: str = CLIENT_ID,
    ) -> None:
        super().__init__("issuer", directory / "issuer.out")
        self.port = port
        self.secret = CLIENT_SECRET
        self._client_id = client_id
        self._log = directory / "posts.jsonl"
        self._secret = directory / "issuer-secret"
        self._lifetimes = lifetimes
        self._lifetime = lifetime

    async def start(self) -> None:
        """Until it listens."""
        self._secret.touch(mode=0o600)
        self._secret.write_text(self.secret)
        words = ["-m", "support.faulty_issuer", "--client-id", self._client_id]
        words += ["--secret-file", str(self._secret), "--log", str(self._log), "--port", str(self.port)]
        words += ["--lifetime", str(self._lifetime)]
        for audience, seconds in self._lifetimes.items():
            words += ["--lifetime-of", f"{audience}={seconds}"]
        self._log.touch()
        await self.launch(words, {**os.environ, "PYTHONPATH": str(TESTS)}, "practice issuer: ")

    async def have(self, fault: Fault) -> None:
        """From now on."""
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as http:
            answer = await http.put(f"http://127.0.0.1:{self.port}/fault", json=asdict(fault))
        assert answer.status_code == 200, answer.text

    async def mend(self, audience: str | None = None) -> None:
        """No fault any more, for all or for these audiences."""
        await self.have(Fault(audience=audience) if audience else NONE)

    def posts_so_far(self) -> list[Post]:
        """By its own log."""
        return told_once(read_posts(self._log.read_text().splitlines()))
