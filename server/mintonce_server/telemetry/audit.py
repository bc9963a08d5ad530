"""The audit log: who asked for what, what was decided, what was minted. One JSON object a line; docs/audit.md."""

import contextlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Final, Self, cast

from mintonce_server.core.errors import AuditUnavailable
from mintonce_server.core.ports import Clock
from mintonce_server.telemetry.redaction import Redactor
from mintonce_server.telemetry.rendering import timestamp

VERSION: Final = 1
MAX_TEXT: Final = 2048
_REDACTOR: Final = Redactor()


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, or one token of a watch. `token_sha256`: 16 hexadecimal digits, "" when no token was handed out."""

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


@dataclass(frozen=True, slots=True)
class MintRecord:
    """One POST to an issuer. `seconds`: how long it took."""

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


@dataclass(frozen=True, slots=True)
class ReloadRecord:
    """A file that decides was read anew. `outcome`: loaded or refused."""

    kind: ClassVar[str] = "reload"

    what: str
    outcome: str


Record = CallRecord | MintRecord | ReloadRecord


class AuditLog:
    """Each record is written before the answer goes out, whole, by one write: nothing is queued, so nothing is lost.

    Use it in a `with`. The file is for this user alone. `path` None: there is no audit log, and `is_on` is False.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        """Raises AuditUnavailable."""
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._descriptor = -1
        if path is not None:
            self._descriptor = self._opened(path)

    @property
    def is_on(self) -> bool:
        return self._path is not None

    def write(self, record: Record) -> None:
        """Raises AuditUnavailable; whoever gets it hands out nothing."""
        if self._path is None:
            return
        line = self._line(record)
        with self._lock:
            try:
                _write_all(self._descriptor, line)
            except OSError as error:
                raise self._unavailable(error) from error

    def reopen(self) -> bool:
        """After a rotation: go on in the file that has the name now. Whether there was one. Raises AuditUnavailable."""
        if self._path is None:
            return False
        with self._lock:
            if self._is_current(self._path):
                return False
            before, self._descriptor = self._descriptor, self._opened(self._path)
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
        values = {name: _safe(value) for name, value in asdict(record).items()}
        return json.dumps({**head, **values}, separators=(",", ":")).encode("ascii") + b"\n"

    def _is_current(self, path: Path) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(path.stat(), os.fstat(self._descriptor))
        return False

    def _opened(self, path: Path) -> int:
        try:
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError) -> AuditUnavailable:
        return AuditUnavailable(
            f"the audit log cannot be written: {error.strerror}",
            remedy=f"Make room, or let the server write {self._path}.",
            retry_after=1.0,
        )


def _write_all(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]


def _safe(value: object) -> object:
    match value:
        case str():
            return _REDACTOR.line(str(value)[:MAX_TEXT])
        case tuple() | list():
            return [_safe(item) for item in cast("Sequence[object]", value)]
        case float():
            return round(value, 4)
        case _:
            return value
