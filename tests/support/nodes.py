"""One server process of a topology: a data server or a Sentinel, that can be killed, stopped and started again."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from mintonce_dev import die_with_parent
from support.servers import version_of

PASSWORD: Final = "a-pass/word@for:tests"
"""Of throw-away servers. It has in it what a URL must encode."""

READY_WITHIN: Final = 10.0
REPLY_WITHIN: Final = 2.0
SENTINEL_PERIODS: Final = ("PING-PERIOD", 300, "INFO-PERIOD", 500, "PUBLISH-PERIOD", 250)
"""Milliseconds. By default a new primary is first pinged a second after it was chosen: with a shorter down-after each
failover is followed by another, forever. And replicas are looked at each 10 s only, which makes tests long.
PING not below 250: a replica unheard for five such periods is no candidate, and in a failover INFO comes each second.
"""

_PORTS: Final = range(20_000, 32_000)
"""Below what the kernel gives to outgoing connections: a killed server must find its port free again."""


class Node:
    """A server with its own port and directory.

    Args:
        name: in its topology, such as `primary-1`; the role may change later, the name does not.
        lines: of its configuration, beside what every node has.
        sentinel: whether it is one.
    """

    def __init__(
        self, name: str, port: int, *, directory: Path, binary: Path, lines: tuple[str, ...], sentinel: bool = False
    ) -> None:
        self.name = name
        self.port = port
        self.sentinel = sentinel
        self._directory = directory
        self._binary = binary
        self._lines = lines
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"{self.name}:{self.port}"

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        assert self._process is not None, "it was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Started and not dead; perhaps stopped."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        """What it said."""
        return self._directory / "server.log"

    async def start(self) -> None:
        """Until it answers. Without persistence it begins empty, even if it was there before."""
        if self.running:
            raise AssertionError(f"{self} runs already")
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = self._directory / "server.conf"
        if not config.exists():  # else it is as Sentinel and CONFIG REWRITE left it
            config.touch(mode=0o600)
            config.write_text("\n".join((*self._usual(), *self._lines)) + "\n")
        with self.log.open("ab") as log:
            tied = (sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()))
            words = (str(self._binary), str(config), *(["--sentinel"] if self.sentinel else []))
            # Not by asyncio: a fixture of a session, and tests with loops of their own, start and end the same node.
            self._process = subprocess.Popen([*tied, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        async with asyncio.timeout(READY_WITHIN):
            while not await self.answers():
                assert self._process.poll() is None, self.log.read_text(errors="replace")[-1000:]
                await asyncio.sleep(0.01)
        if self.sentinel and version_of(self._binary) >= (7, 0):
            await self.command("SENTINEL", "DEBUG", *SENTINEL_PERIODS)

    async def kill(self) -> None:
        """SIGKILL, also if it is stopped. `start` brings it back."""
        if self._process is not None:
            self._process.kill()
            while self._process.poll() is None:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.005)

    def stop(self) -> None:
        """SIGSTOP: connections stay, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def command(self, *words: str | bytes | int) -> object:
        """One command on a connection of its own. Raises RedisError, within REPLY_WITHIN seconds."""
        client = Redis(
            host="127.0.0.1",
            port=self.port,
            password=PASSWORD,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=REPLY_WITHIN,
            socket_connect_timeout=REPLY_WITHIN,
        )
        try:
            # redis-py leaves execute_command without types.
            return cast(object, await client.execute_command(*words))  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()

    async def answers(self) -> bool:
        """Whether it takes commands now. A stopped one takes REPLY_WITHIN to be found so."""
        try:
            return bool(await self.command("PING"))
        except (RedisError, OSError):
            return False

    async def is_primary(self) -> bool:
        """As it says itself, so a former primary may be wrong for a while. False also if it does not answer."""
        try:
            return cast(list[object], await self.command("ROLE"))[0] == b"master"
        except (RedisError, OSError):
            return False

    async def follows(self) -> int | None:
        """The port of the primary that it has all data of; None if it has not yet, or does not answer.

        Its own word: a primary counts a replica as online while that is still loading.
        """
        try:
            role = cast(list[object], await self.command("ROLE"))
        except (RedisError, OSError):
            return None
        return cast(int, role[2]) if role[0] == b"slave" and role[3] == b"connected" else None

    def _usual(self) -> tuple[str, ...]:
        lines: tuple[str, ...] = (f"port {self.port}", "bind 127.0.0.1", "daemonize no", f'requirepass "{PASSWORD}"')
        lines = (*lines, f'dir "{self._directory}"')
        if self.sentinel:
            return lines
        # Replicas attach at once, and a restarted node may be one.
        return (*lines, f'masterauth "{PASSWORD}"', "repl-diskless-sync-delay 0", "repl-timeout 5", 'save ""')


def free_ports(count: int, among: range = _PORTS) -> list[int]:
    """Different ports on which nothing listens. Another program may still take one: then starting there fails."""
    found: set[int] = set()
    for port in random.SystemRandom().sample(among, 50 * count):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.add(port)
        if len(found) == count:
            return sorted(found)
    raise AssertionError("no free ports on loopback")
