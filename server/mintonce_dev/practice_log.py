"""The POSTs of a practice issuer: a log with one line for each, so that mints can be counted, and a page."""

import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import IO, Final, cast

KEPT: Final = 10_000
"""POSTs that are kept in memory for GET /posts; the file keeps all."""
SHOWN: Final = 20
"""Rows of the page."""

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""Content-Security-Policy of the page, which loads nothing."""

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5">
<title>{minted} minted: practice issuer</title>
<style>
  :root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
  body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
  table {{ border-collapse: collapse; width: 100%; font-size: .9rem }}
  th, td {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886; overflow-wrap: anywhere }}
  .count {{ font-size: 3rem; margin: 0 }}
</style>
<h1>Practice issuer</h1>
<p class="count">{minted}</p>
<p>tokens minted with {count} {posts} to <code>/oauth/token</code>. Each is valid for {lifetime} s.
This server simulates an OAuth domain on your own machine: its tokens grant access to nothing.
For scripts: <a href="/posts">/posts</a>.</p>
<table>
<thead><tr><th>Time (UTC)<th>Status<th>Client<th>Audience<th>Scope<th>Token id</thead>
<tbody>
{rows}
</tbody>
</table>
"""


@dataclass(frozen=True, slots=True)
class Post:
    """One POST, without secret and token. `jti` identifies the minted token; "" if none was minted.

    `time`: seconds since 1970.
    """

    time: float
    client_id: str
    audience: str
    scope: str
    status: int
    jti: str


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    field.name: {"time": (int, float), "status": (int,)}.get(field.name, (str,)) for field in fields(Post)
}


class PostLog:
    """Counts POSTs. With a file, the count continues from earlier runs. Thread-safe."""

    def __init__(self, path: Path | None) -> None:
        """Reads the file. Raises OSError if it cannot be read or appended to."""
        self._lock = threading.Lock()
        self._last: deque[Post] = deque(maxlen=KEPT)
        self._count = 0
        self._minted = 0
        self._file: IO[str] | None = None
        if path is not None:
            self._replay(path)

    @property
    def count(self) -> int:
        """POSTs to the token endpoint, including refused ones."""
        return self._count

    @property
    def minted(self) -> int:
        """POSTs that got a token."""
        return self._minted

    def last(self) -> list[Post]:
        """The last POSTs, oldest first."""
        with self._lock:
            return list(self._last)

    def add(self, post: Post) -> None:
        """Writes the line before the issuer answers."""
        with self._lock:
            self._remember(post)
            if self._file is not None:
                self._file.write(json.dumps(asdict(post)) + "\n")
                self._file.flush()

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _replay(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        for line in text.splitlines():
            post = _parse(line)
            if post is not None:
                self._remember(post)
        self._file = path.open("a", encoding="utf-8")
        if text and not text.endswith("\n"):  # the last run was killed while writing a line
            self._file.write("\n")

    def _remember(self, post: Post) -> None:
        self._last.append(post)
        self._count += 1
        self._minted += bool(post.jti)


def render(posts: Sequence[Post], *, count: int, minted: int, lifetime: float) -> str:
    """HTML with the counter and the last posts, newest first."""
    rows = "\n".join(map(_row, reversed(posts[-SHOWN:]))) or '<tr><td colspan="6">No requests yet.'
    return _PAGE.format(
        count=count, posts="POST" if count == 1 else "POSTs", minted=minted, lifetime=f"{lifetime:g}", rows=rows
    )


def _row(post: Post) -> str:
    time = datetime.fromtimestamp(post.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    cells = (time, str(post.status), post.client_id, post.audience, post.scope, post.jti)
    return "<tr>" + "".join(f"<td>{escape(cell)}" for cell in cells)


def _parse(line: str) -> Post | None:
    """None for an incomplete line of a killed run."""
    try:
        parsed: object = json.loads(line)
    except ValueError:
        return None
    if not isinstance(parsed, dict):
        return None
    said = cast("dict[str, object]", parsed)
    if said.keys() != _TYPES.keys() or not all(isinstance(said[name], kinds) for name, kinds in _TYPES.items()):
        return None
    return Post(**said)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - each was looked at above
