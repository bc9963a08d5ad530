"""Files that hold secrets: read once, at the start, and only when nobody else can read them."""

import os
import stat
from pathlib import Path
from typing import Final

from mintonce_server.config.faults import Fault
from mintonce_server.core.secret import Secret

MAX_BYTES: Final = 1 << 20
MAX_SECRET: Final = 4096
"""Characters. A client secret has some dozens."""
_MOUNTED: Final = ("/run/secrets", "/run/credentials")


class FileFault(Exception):
    """A file cannot be used. Carries what and remedy; the reader knows where it is named."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy

    def at(self, where: str) -> Fault:
        return Fault(where, str(self), self.remedy)


def read_secret(path: Path) -> Secret:
    """The text of a file, less one closing line break, which editors add. Raises FileFault."""
    data = read_regular(path)
    refuse_if_open(path)
    return secret_in(data)


def secret_in(data: bytes) -> Secret:
    """What `read_secret` makes of the bytes. Raises FileFault."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None  # the exception holds the bytes: it must not become the cause of anything
    if text is None:
        raise FileFault("the file is not UTF-8 text", "Write the secret, and nothing else, into it.")
    text = text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
    if not text:
        raise FileFault("the file is empty", "Write the secret, and nothing else, into it.")
    if found := secret_fault(text):
        raise FileFault(f"the file {found[0]}", found[1])
    return Secret(text)


def secret_fault(text: str) -> tuple[str, str] | None:
    """What is wrong with the text of a secret, and the remedy; None if nothing is."""
    if not text.isprintable():
        return (
            "holds a control character, such as a line break",
            "Write the secret as one line, without spaces around it.",
        )
    if len(text) > MAX_SECRET:
        return f"holds more than {MAX_SECRET} characters", "Write the secret, and nothing else, into it."
    return None


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file: never waits, as a pipe would, and never reads without end. Raises FileFault."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileFault("that is no regular file", "Name a file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) else "not a path"
        raise FileFault(f"the file cannot be read: {why}", "Mend the path, or let this user read the file.") from error
    if len(data) > MAX_BYTES:
        raise FileFault(f"the file is longer than {MAX_BYTES} bytes", "Name the right file.")
    return data


def refuse_if_open(path: Path) -> None:
    """Raises FileFault when others than the owner can get at the file."""
    try:
        status = path.stat()
        real = os.path.realpath(path)
    except OSError as error:
        raise FileFault(f"the file cannot be read: {error.strerror}", "Let this user read the file.") from error
    if is_open(status.st_mode, status.st_uid, real):
        raise FileFault("the file can be read or written by others", "Close it: chmod 600 FILE (or 400).")


def refuse_if_writable(path: Path) -> None:
    """Who may write what decides over tokens has them. Raises FileFault."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise FileFault(f"the file cannot be read: {error.strerror}", "Let this user read the file.") from error
    if mode & 0o022:
        raise FileFault("the file can be written by others", "Close it: chmod go-w FILE.")


def is_open(mode: int, uid: int, real_path: str) -> bool:
    """Whether a file that holds a secret is open to others than its owner.

    Group and others get nothing, with one exception: compose and Kubernetes mount secrets as files of root with mode
    0444 or 0440 under /run/secrets (systemd: /run/credentials), since the program inside is another user than root.
    That directory belongs to the container or the unit alone: such a file may be read, though not written, by all.
    """
    if not mode & 0o077:
        return False
    mounted = any(os.path.commonpath((root, real_path)) == root for root in _MOUNTED)
    return not (mounted and uid == 0 and not mode & 0o033)
