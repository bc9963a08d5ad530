"""What `mintonce` prints."""

import json as jsonlib
import sys
from collections.abc import Iterator
from time import monotonic

from mintonce._text import visible
from mintonce._wire import TokenList
from mintonce.cli._durations import shown
from mintonce.errors import MintonceError
from mintonce.token import Token


def line(text: str) -> None:
    """To standard output, at once: somebody may read it through a pipe. Nothing in it can command a terminal."""
    print(visible(text), flush=True)


def note(text: str) -> None:
    print(f"mintonce: {visible(text)}", file=sys.stderr, flush=True)


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
            "expires_in": max(0, int(token.remaining())),
            "refresh_in": max(0, int(token.refresh_at - monotonic())),
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
        f"generation {token.generation}  expires in {shown(token.remaining())}  "
        f"refresh in {shown(token.refresh_at - monotonic())}{'  degraded' if token.degraded else ''}"
    )
    return f"{summary}  {token.access_token}" if text else summary


def listed_json(listed: TokenList) -> Iterator[str]:
    for each in listed.tokens:
        yield jsonlib.dumps(
            {
                "client": each.client,
                "audience": each.audience,
                "scopes": list(each.scopes),
                "generation": each.generation,
                "expires_in": max(0, int(each.remaining)),
                "refresh_in": max(0, int(each.refresh_in)),
                "key_hash": each.key_hash,
            }
        )


def table(listed: TokenList) -> Iterator[str]:
    """Columns as wide as their widest cell. Nothing at all when nothing is live, as `ls` does."""
    rows = [
        (each.client, each.audience or "-", " ".join(each.scopes) or "-", str(each.generation), shown(each.remaining))
        for each in listed.tokens
    ]
    if not rows:
        return
    rows.insert(0, ("CLIENT", "AUDIENCE", "SCOPES", "GENERATION", "EXPIRES IN"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
