"""Standard output of `mintonced`: a failed write is reported as such, whichever command printed."""

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Final, TextIO

from mintonce_server.core.text import visible

LOST: Final = 1
"""The exit code if the output could not be written."""


class Unwritable(Exception):
    """Not an OSError: commands handle those. `why`: "" if the reader is gone, as in `mintonced check | head`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Output(TextIOWrapper):
    """Like Python's own, with other errors. Characters that the terminal cannot encode become escapes."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _unwritable(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _unwritable(error) from error


class _Closed(_Output):
    """Replaces the stream that Python sets to None if it is closed (>&-), so that output is not lost silently."""

    def write(self, text: str, /) -> int:
        raise Unwritable("it is closed")


def with_output(run: Callable[[], int]) -> int:
    """The exit code of a command that may print."""
    try:
        sys.stdout = _output(sys.stdout)
        try:
            return run()
        finally:
            sys.stdout.flush()
    except Unwritable as error:
        _let_go()
        if error.why:
            remedy = "Free space there, or redirect it."
            sys.stderr.write(f"mintonced: standard output cannot be written: {visible(error.why)}\n{remedy}\n")
        return LOST


def _output(stream: TextIO | None) -> TextIO:
    if stream is None:
        return _Closed(open(os.devnull, "wb"))
    return _Output(
        stream.buffer,
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=bool(stream.line_buffering),
        write_through=getattr(stream, "write_through", False),
    )


def _unwritable(error: OSError) -> Unwritable:
    return Unwritable("" if isinstance(error, BrokenPipeError) else error.strerror or type(error).__name__)


def _let_go() -> None:
    """Discard what is still buffered: Python would try to write it at exit, and print an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
