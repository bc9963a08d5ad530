"""Bytes as a file, for libraries that take nothing but a path."""

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def as_file(data: bytes) -> Generator[str]:
    """A path under which this process can read the bytes. In memory where the system can; else for this user alone."""
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
