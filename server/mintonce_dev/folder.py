"""The private directory of an embedded server."""

import asyncio
import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from mintonce_server.core.errors import StoreUnavailable

SOCKET_PATH_MAX: Final = 100
"""Bytes. sun_path has 108 on Linux and 104 on macOS, including the terminating zero."""

LOCK_TIMEOUT: Final = 3.0
"""Seconds. A server whose parent was killed needs a moment to end."""

_LOCK_POLL: Final = 0.02


class Folder:
    """Mode 0700. Contains a lock, data, configuration, and the socket if its path is short enough.

    Attributes:
        socket: the listen address; in a private temporary directory if the path would be too long.
        lock: an open file. Pass it to the server too: the directory is in use until both have closed it.
    """

    def __init__(self, directory: Path, lock: int) -> None:
        self.path = directory = directory.absolute()
        self.lock = lock
        self.config = directory / "server.conf"
        self.log = directory / "server.log"
        self._short: Path | None = None
        self.socket = directory / "server.sock"
        if len(os.fsencode(self.socket)) > SOCKET_PATH_MAX:
            self._short = Path(tempfile.mkdtemp(prefix="mintonce-"))
            self.socket = self._short / "server.sock"

    @classmethod
    async def take(cls, directory: Path) -> "Folder":
        """Create it if necessary, and lock it. Raises StoreUnavailable if another server uses it."""
        lock = _make(directory)
        try:
            await _lock(lock, directory)
            return cls(directory, lock)
        except BaseException:  # cancellation too: nothing else would close the file
            os.close(lock)
            raise

    def write_config(self, text: str) -> None:
        """Readable by its owner only: it contains a password."""
        self.config.unlink(missing_ok=True)
        with open(os.open(self.config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)

    def log_tail(self, lines: int = 5) -> str:
        """The last lines of the server's log."""
        with suppress(FileNotFoundError):  # the server did not start
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def leave(self) -> None:
        """Remove what is useless without the server, and unlock."""
        self.config.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        if self._short:
            shutil.rmtree(self._short, ignore_errors=True)
        os.close(self.lock)


def _make(directory: Path) -> int:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    return os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


async def _lock(lock: int, directory: Path) -> None:
    try:
        async with asyncio.timeout(LOCK_TIMEOUT):
            while not _locked(lock):  # noqa: ASYNC110 - unlocking by another process causes no event
                await asyncio.sleep(_LOCK_POLL)
    except TimeoutError as error:
        raise StoreUnavailable(
            f"another embedded server uses {directory}",
            remedy="Stop the other one, or use another directory.",
        ) from error


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
