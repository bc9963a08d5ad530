"""The audit log: who asked for what, what was decided, what was minted. One JSON object a line; docs/audit.md."""

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final, Self, cast

from mintonce_server.core.errors import AuditUnavailable
from mintonce_server.core.ports import Clock
from mintonce_server.observability.lines import timestamp
from mintonce_server.observability.redaction import NAMES, Redactor

VERSION: Final = 1
MAX_TEXT: Final = 2048
"""Characters. What is longer is cut, and ends with "…"; no name, audience or scope that is valid is."""
MAX_ITEMS: Final = 64
"""In a list: core.key.MAX_SCOPES."""

# O_NONBLOCK: a pipe that nobody reads is an error, not a wait of all calls. Regular files do not care.
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_REDACTOR: Final = Redactor()
_OFTEN: Final = 256
"""Characters of a text that is worth remembering."""
# Proven, or ours.
_OURS: Final = frozenset({"caller", "rule", "key", "token_sha256"})
_LISTED: Final = NAMES | {"detail"}  # which names scopes


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, or one token of a watch.

    Attributes:
        client: for a list, the one whose tokens are listed.
        generation, token_sha256: of the token that went out, or that the caller rejects by the one or the other; 0 and
            "" for none. The latter has 16 digits.
        granted_scopes, granted_audience: of the token that went out, or was withheld because of them.
        detail: why, where `reason` alone does not say it.
    """

    kind: ClassVar[str] = "call"

    request_id: str
    caller: str
    caller_kind: str
    peer: str
    act: str
    client: str
    audience: str
    scopes: tuple[str, ...]
    key: str
    decision: str
    rule: str
    status: str
    reason: str
    generation: int
    token_sha256: str
    granted_scopes: tuple[str, ...] = ()
    granted_audience: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MintRecord:
    """One POST to an issuer. `seconds`: how long it took. `granted_…`: what the issuer said that the token is for."""

    kind: ClassVar[str] = "mint"

    client: str
    audience: str
    scopes: tuple[str, ...]
    key: str
    generation: int
    cause: str
    outcome: str
    reason: str
    issuer_error: str
    issuer_request_id: str
    token_sha256: str
    seconds: float
    granted_scopes: tuple[str, ...]
    granted_audience: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReloadRecord:
    """A file that decides was read anew. `outcome`: loaded or refused."""

    kind: ClassVar[str] = "reload"

    what: str
    outcome: str


@dataclass(frozen=True, slots=True)
class RepeatRecord:
    """More refused calls like one that was written before. One of `caller` and `network` is ""."""

    kind: ClassVar[str] = "repeat"

    caller: str
    network: str
    act: str
    decision: str
    status: str
    reason: str
    count: int
    seconds: float


Record = CallRecord | MintRecord | ReloadRecord | RepeatRecord


class AuditLog:
    """Each record is written before the answer goes out, whole, by one write: nothing is queued, so nothing is lost.

    Use it in a `with`. A file that it makes is for this user alone. `path` None: there is no audit log, and `is_on` is
    False.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        """Raises AuditUnavailable."""
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._torn = False
        self._descriptor = -1
        if path is not None:
            self._descriptor = self._opened(path)
            self._torn = _ends_torn(path)

    @property
    def is_on(self) -> bool:
        return self._path is not None

    def write(self, record: Record) -> None:
        """Raises AuditUnavailable; whoever gets it hands out nothing."""
        if self._path is None:
            return
        try:
            line = self._line(record)
            with self._lock:
                self._write_all(line)
        except Exception as error:  # what cannot be recorded is not handed out, whatever the reason
            raise self._unavailable(error) from error

    def reopen(self) -> bool:
        """After a rotation: go on in the file that has the name now. Whether there was one. Raises AuditUnavailable."""
        if self._path is None:
            return False
        with self._lock:
            if self._is_current(self._path):
                return False
            before, self._descriptor = self._descriptor, self._opened(self._path)
            self._torn = _ends_torn(self._path)
            os.close(before)
            return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _line(self, record: Record) -> bytes:
        head = {"v": VERSION, "kind": record.kind, "time": timestamp(self._clock.unix())}
        values = {item.name: _safe(item.name, getattr(record, item.name)) for item in fields(record)}
        return json.dumps({**head, **values}, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"

    def _write_all(self, line: bytes) -> None:
        # A disk that was full kept the beginning of a line. It must not swallow this one, too.
        rest = b"\n" + line if self._torn else line
        while rest:
            written = os.write(self._descriptor, rest)
            rest = rest[written:]
            self._torn = bool(rest) and (self._torn or written > 0)
        self._torn = False

    def _is_current(self, path: Path) -> bool:
        try:
            return os.path.samestat(path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False
        except OSError as error:  # the folder is closed to us, say: what is open goes on
            raise self._unavailable(error) from error

    def _opened(self, path: Path) -> int:
        try:
            return os.open(path, _FLAGS, 0o600)
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> AuditUnavailable:
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        return AuditUnavailable(
            f"the audit log cannot be written: {why}",
            remedy=f"Make room, or let the server write {self._path}.",
            retry_after=1.0,
        )


def _ends_torn(path: Path) -> bool:
    """Whether whoever wrote before ended in the middle of a line."""
    try:
        if not path.is_file():  # a pipe, a terminal
            return False
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END) > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
    except OSError:  # it may be written and not read: an empty line does no harm
        return True


def _safe(name: str, value: object) -> object:
    match value:
        case str() if name in _OURS:
            return _cut(str(value))
        case str():
            return _masked(str(value), name in _LISTED)
        case tuple() | list():
            return [_safe(name, item) for item in cast("Sequence[object]", value)[:MAX_ITEMS]]
        case float():
            return round(value, 4)
        case _:
            return value


def _masked(text: str, is_name: bool) -> str:
    # Whole, and then cut: half of a token may look like none.
    return _cut(_masked_often(text, is_name) if len(text) <= _OFTEN else _searched(text, is_name))


@lru_cache(1024)
def _masked_often(text: str, is_name: bool) -> str:
    """The same clients, audiences and scopes come again and again, and the search takes most of a record's time."""
    return _searched(text, is_name)


def _searched(text: str, is_name: bool) -> str:
    return _REDACTOR.name(text) if is_name else _REDACTOR.line(text)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
