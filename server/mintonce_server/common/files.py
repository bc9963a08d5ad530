"""Files: bounded reads, who may access them, atomic replacement, and bytes for libraries that only take a path."""

import os
import stat
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MAX_FILE_BYTES: Final = 1 << 20

# Compose and Kubernetes mount secrets here, systemd under the second one.
_MOUNTED: Final = ("/run/secrets", "/run/credentials")


class FileError(Exception):
    """A file cannot be used. The text completes a sentence after the file's name.

    Attributes:
        remedy: a sentence for an operator.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


def read_file(path: Path) -> bytes:
    """The bytes of a regular file of at most MAX_FILE_BYTES. Never blocks on a pipe. Raises FileError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileError("is not a regular file", "Name a regular file.")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) else "not a path"
        raise FileError(f"cannot be read: {why}", "Correct the path, or let this user read the file.") from error
    if len(data) > MAX_FILE_BYTES:
        raise FileError(f"is larger than {MAX_FILE_BYTES} bytes", "Name the right file.")
    return data


def require_private(path: Path) -> None:
    """For files that hold secrets. Raises FileError when users other than the owner can access the file."""
    try:
        status, real = path.stat(), os.path.realpath(path)
    except OSError as error:
        raise _unreadable(error) from error
    if is_open(status.st_mode, status.st_uid, real):
        raise FileError("can be read or written by others", "Restrict it: chmod 600 FILE (or 400).")


def require_not_writable(path: Path) -> None:
    """For files that grant access. Raises FileError when users other than the owner can write the file."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise _unreadable(error) from error
    if mode & 0o022:
        raise FileError("can be written by others", "Restrict it: chmod go-w FILE.")


def is_open(mode: int, uid: int, real_path: str) -> bool:
    """Whether users other than the owner can access a file that holds a secret.

    There is one exception: compose and Kubernetes mount secrets as root's files with mode 0444 or 0440 under
    /run/secrets (systemd: /run/credentials), because the program runs as another user than root. That directory
    belongs to the container or the unit alone, so such a file may be readable, though not writable, by all.
    """
    if not mode & 0o077:
        return False
    mounted = any(os.path.commonpath((root, real_path)) == root for root in _MOUNTED)
    return not (mounted and uid == 0 and not mode & 0o033)


def atomic_write(path: Path, change: Callable[[str], str]) -> None:
    """Replace the text of a file; readers see either the old or the new one. Keeps owner, mode and symbolic links.

    Raises OSError; the file is then unchanged.
    """
    path = Path(os.path.realpath(path))
    before = path.stat()
    text = change(path.read_text())
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp: for this user alone
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), before.st_mode & 0o7777)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def as_file(data: bytes) -> Generator[str]:
    """A path where this process can read the bytes. In memory if the system can; else a private temporary file."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("mintonce", os.MFD_CLOEXEC)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    with tempfile.TemporaryDirectory(prefix="mintonce-") as directory:  # for this user alone (0700)
        path = Path(directory) / "pem"
        path.write_bytes(data)
        yield str(path)


def _unreadable(error: OSError) -> FileError:
    return FileError(f"cannot be read: {error.strerror}", "Let this user read the file.")
