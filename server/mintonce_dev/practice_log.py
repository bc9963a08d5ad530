"""What a practice issuer writes down: one line for each POST, so that mints can be counted from outside."""

import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Final, cast

KEPT: Final = 10_000
"""Posts that are kept in memory for GET /posts; the file keeps all."""


@dataclass(frozen=True, slots=True)
class Post:
    """One POST. Never the secret, never the token; `jti` names the token that was minted, "" if none was.

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
    """Counts POSTs, in a file too if there is one: the count then goes on from an earlier run's. Thread-safe."""

    def __init__(self, path: Path | None) -> None:
        """Reads what is there. Raises OSError if the file cannot be read or appended to."""
        self._lock = threading.Lock()
        self._last: deque[Post] = deque(maxlen=KEPT)
        self._count = 0
        self._minted = 0
        self._file: IO[str] | None = None
        if path is not None:
            self._replay(path)

    @property
    def count(self) -> int:
        """POSTs to the token endpoint, refused ones too."""
        return self._count

    @property
    def minted(self) -> int:
        """POSTs that got a token."""
        return self._minted

    def last(self) -> list[Post]:
        """The last posts, oldest first."""
        with self._lock:
            return list(self._last)

    def add(self, post: Post) -> None:
        """The line is in the file before the issuer answers."""
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
        if text and not text.endswith("\n"):  # the last run was killed in the middle of a line
            self._file.write("\n")

    def _remember(self, post: Post) -> None:
        self._last.append(post)
        self._count += 1
        self._minted += bool(post.jti)


def _parse(line: str) -> Post | None:
    """None for half a line, which a killed run may leave."""
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
