"""What `mintonce` prints."""

import json as jsonlib
import os
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper

from mintonce._text import visible
from mintonce._wire import TokenSummary
from mintonce.cli._arguments import shown
from mintonce.errors import MintonceError
from mintonce.token import Token


class Unwritable(Exception):
    """Standard output takes nothing. The text says why."""


@contextmanager
def written() -> Generator[None]:
    """Flush what is printed inside. Raises Unwritable, or BrokenPipeError if the reader has gone."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] # as Python has it when it is closed: >&-
        raise Unwritable("it is closed")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unwritable(error.strerror or type(error).__name__) from error


def prepare() -> None:
    """Print escapes for letters that the terminal's encoding does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def let_go(descriptor: int = 1) -> None:
    """Discard what is not written yet: Python would try again at its exit, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def script(text: str) -> None:
    """Lines of our own making to standard output, as they are."""
    with written():
        print(text)


def line(text: str) -> None:
    """To standard output, at once: a program may read it through a pipe. Control characters are escaped."""
    with written():
        print(visible(text))


def note(text: str) -> None:
    """To standard error. If that cannot be written, only the exit code says it."""
    try:
        print(f"mintonce: {visible(text)}", file=sys.stderr, flush=True)
    except OSError:
        let_go(2)


def failure(error: MintonceError) -> None:
    """What happened, then what to do."""
    issuer = f", the issuer's code: {error.issuer_error}" if error.issuer_error else ""
    note(f"{error} ({error.reason}{issuer})")
    if error.remedy:
        note(error.remedy)
    if error.retry_after:
        note(f"Try again in {shown(error.retry_after + 0.999)}.")
    if error.request_id:
        note(f"Request id, for the server's log: {error.request_id}")


def as_json(token: Token, *, text: bool) -> str:
    """One line. Durations in seconds, rounded down; `text`: with the token itself."""
    secret = {"access_token": token.access_token} if text else {}
    return jsonlib.dumps(
        {
            **secret,
            "token_type": token.token_type,
            "generation": token.generation,
            "expires_in": max(0, int(token.expires_in())),
            "refresh_in": max(0, int(token.refresh_in())),
            "origin": token.origin.value,
            "degraded": token.degraded,
            "scopes": list(token.scopes),
            "expire_time": token.expire_time.isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
    )


def watched(token: Token, *, json: bool, text: bool) -> str:
    """A line of a watch."""
    if json:
        return as_json(token, text=text)
    summary = (
        f"generation {token.generation}  expires in {shown(token.expires_in())}  "
        f"refresh in {shown(token.refresh_in())}{'  degraded' if token.degraded else ''}"
    )
    return f"{summary}  {token.access_token}" if text else summary


def summary_json(token: TokenSummary) -> str:
    """One line."""
    return jsonlib.dumps(
        {
            "client": token.client,
            "audience": token.audience,
            "scopes": list(token.scopes),
            "generation": token.generation,
            "expires_in": max(0, int(token.expires_in)),
            "refresh_in": max(0, int(token.refresh_in)),
            "key_hash": token.key_hash,
        }
    )


class Tables:
    """A table printed in parts. Columns are as wide as their widest cell so far. No header when nothing is live."""

    def __init__(self) -> None:
        self._widths: list[int] = []

    def rows(self, tokens: Sequence[TokenSummary]) -> Iterator[str]:
        """The lines of the next part."""
        rows = [
            (
                each.client,
                each.audience or "-",
                " ".join(each.scopes) or "-",
                str(each.generation),
                shown(each.expires_in),
            )
            for each in tokens
        ]
        if not rows:
            return
        if not self._widths:
            rows.insert(0, ("CLIENT", "AUDIENCE", "SCOPES", "GENERATION", "EXPIRES IN"))
            self._widths = [0] * len(rows[0])
        columns = zip(*rows, strict=True)
        self._widths = [max(width, *map(len, column)) for width, column in zip(self._widths, columns, strict=True)]
        for row in rows:
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, self._widths, strict=True)).rstrip()
