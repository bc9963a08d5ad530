"""Programs that end when the bench does, even if that is killed."""

import os
import sys
from typing import Final

from mintonce_dev import die_with_parent

_START: Final = (sys.executable, "-I", "-S", str(die_with_parent.__file__))


def tied(module: str, *words: str) -> tuple[str, ...]:
    """The command that runs a Python module so; to be started by this process itself."""
    return (*_START, str(os.getpid()), sys.executable, "-m", module, *words)
