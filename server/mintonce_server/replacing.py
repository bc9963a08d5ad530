"""Replaces a file whole: whoever reads it at that moment sees the old text or the new one."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, change: Callable[[str], str]) -> None:
    """Same owner and mode as before. Raises OSError; then nothing has changed."""
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
