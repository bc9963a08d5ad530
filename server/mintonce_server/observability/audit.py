"""The audit log: calls, decisions, mints. One JSON object per line; see docs/security/audit.md."""

import errno
import json
import os
import re
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final, Self, cast

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import AuditUnavailable
from mintonce_server.observability.lines import timestamp
from mintonce_server.observability.redaction import NAMES, Redactor

VERSION: Final = 1
MAX_TEXT: Final = 2048
"""Characters. Longer texts are cut, and end with "…". Valid names, audiences and scopes are shorter."""
MAX_ITEMS: Final = 64
"""Of a list; the same as core.key.MAX_SCOPES."""

STANDARD_OUTPUT: Final = Path("/dev/stdout")
"""As `audit_file`: the descriptor that the process has. Its path in /proc is closed to a process without core dumps."""

# O_NONBLOCK: a full pipe is then an error, and does not block all calls. No effect on regular files.
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_REDACTOR: Final = Redactor()
# Authenticated, or our own: not masked.
_OURS: Final = frozenset(
    {"caller", "rule", "key", "token_sha256", "caller_kind", "via", "act", "decision", "status", "cause", "outcome"}
)
_OWN_REQUEST_ID: Final = re.compile(r"[0-9a-f]{16}")
"""As this server makes them: each is new, so a cache does not help. Those of callers may contain anything."""
_ENCODE: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_REMEDIES: Final = {
    errno.EISDIR: "Name a file, not a directory, as audit_file.",
    errno.ENOENT: "Create the directory of {path}, where the server may write.",
    errno.ENOTDIR: "Create the directory of {path}, where the server may write.",
}
_LISTED: Final = NAMES | {"detail"}  # it names scopes


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, or one token of a watch.

    Attributes:
        via: the transport: grpc or http.
        client: for a list, the client whose tokens are listed.
        generation, token_sha256: of the returned token, or what identifies the token that the caller rejects; 0 and ""
            for none. The latter has 16 digits.
        granted_scopes, granted_audience: of the returned token, or of one that was withheld because of them.
        detail: the cause, if `reason` is not specific enough.
    """

    kind: ClassVar[str] = "call"

    request_id: str
    caller: str
    caller_kind: str
    peer: str
    via: str
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
    """One POST to an issuer. `seconds`: its duration. `granted_…`: scopes and audience of the token."""

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
    """A file that controls access was reloaded. `outcome`: loaded or refused."""

    kind: ClassVar[str] = "reload"

    what: str
    outcome: str


@dataclass(frozen=True, slots=True)
class RepeatRecord:
    """Further refused calls like one that was written before. One of `caller` and `network` is ""."""

    kind: ClassVar[str] = "repeat"

    caller: str
    network: str
    act: str
    decision: str
    status: str
    reason: str
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BudgetRecord:
    """A client reached this share of a budget. `window`: month or day."""

    kind: ClassVar[str] = "budget"

    client: str
    window: str
    percent: int
    used: int
    budget: int


Record = CallRecord | MintRecord | ReloadRecord | RepeatRecord | BudgetRecord
_FIELDS: Final = {
    kind.kind: tuple(item.name for item in fields(kind))
    for kind in (CallRecord, MintRecord, ReloadRecord, RepeatRecord, BudgetRecord)
}


AuditCount = Callable[[str, float, bool], None]
"""The kind of a record, the seconds that its writing took, and whether it was written."""


class AuditLog:
    """Writes each record before the answer is sent, with one write: nothing is queued, so nothing is lost.

    Use it in a `with`. New files are private. `path` None: there is no audit log, and `is_on` is False.
    """

    def __init__(self, path: Path | None, clock: Clock, count: AuditCount | None = None) -> None:
        """Raises AuditUnavailable. `count`: called after each record."""
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._torn = False
        self._descriptor = -1
        self._count = count or _ignore
        if path is not None:
            self._descriptor = self._opened(path)
            self._torn = _ends_torn(path)

    @property
    def is_on(self) -> bool:
        return self._path is not None

    def write(self, record: Record) -> None:
        """Raises AuditUnavailable; callers must then not return a token."""
        if self._path is None:
            return
        began = self._clock.monotonic()
        try:
            line = self._line(record)
            with self._lock:
                self._write_all(line)
        except Exception as error:  # what cannot be recorded is not returned, whatever the reason
            self._count(record.kind, self._clock.monotonic() - began, False)
            raise _unavailable(self._path, error) from error
        self._count(record.kind, self._clock.monotonic() - began, True)

    def reopen(self) -> bool:
        """After a log rotation, switch to the new file. Whether there was one. Raises AuditUnavailable."""
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
        head = f'"v":{VERSION},"kind":"{record.kind}","time":"{timestamp(self._clock.unix())}"'
        members = [_member(name, getattr(record, name)) for name in _FIELDS[record.kind]]
        return f"{{{head},{','.join(members)}}}\n".encode("ascii")

    def _write_all(self, line: bytes) -> None:
        # A full disk may have left the beginning of a line: start a new one.
        rest = b"\n" + line if self._torn else line
        while rest:
            written = os.write(self._descriptor, rest)
            rest = rest[written:]
            self._torn = bool(rest) and (self._torn or written > 0)
        self._torn = False

    def _is_current(self, path: Path) -> bool:
        if path == STANDARD_OUTPUT:
            return True
        try:
            return os.path.samestat(path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False
        except OSError as error:  # such as no access to the directory: keep the open file
            raise _unavailable(self._path, error) from error

    def _opened(self, path: Path) -> int:
        try:
            if path == STANDARD_OUTPUT:
                return _standard_output()
            return os.open(path, _FLAGS, 0o600)
        except OSError as error:
            raise _unavailable(self._path, error) from error


def _standard_output() -> int:
    """A descriptor of our own. Raises OSError."""
    if not os.path.samestat(os.fstat(1), os.fstat(2)):  # a terminal is both, and must go on blocking for the log
        os.set_blocking(1, False)
    return os.dup(1)


def _ignore(_: str, __: float, ___: bool) -> None:
    """Default: count nothing."""


def require_audit_file(path: Path) -> None:
    """Raise AuditUnavailable if there can be no audit log. Creates no file."""
    if path == STANDARD_OUTPUT:
        return
    try:
        os.close(os.open(path, _FLAGS & ~os.O_CREAT))
    except FileNotFoundError as error:
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise _unavailable(path, error if not path.parent.exists() else PermissionError(errno.EACCES)) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unavailable(path, error) from error


def _unavailable(path: Path | None, error: Exception) -> AuditUnavailable:
    code = error.errno if isinstance(error, OSError) else None
    why = os.strerror(code) if code else type(error).__name__
    remedy = _REMEDIES.get(code or 0, "Free space, or let the server write {path}.").format(path=path)
    return AuditUnavailable(f"the audit log cannot be written: {why}", remedy=remedy, retry_after=1.0)


def _ends_torn(path: Path) -> bool:
    """Whether the file ends in the middle of a line."""
    try:
        if path == STANDARD_OUTPUT or not path.is_file():  # a pipe, a terminal
            return False
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END) > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
    except OSError:  # writable but not readable: an empty line does no harm
        return True


def _member(name: str, value: Hashable) -> str:
    """One member of the line's JSON object."""
    if name == "request_id" and _OWN_REQUEST_ID.fullmatch(str(value)):
        return f'"request_id":"{value}"'
    return _encoded(name, value)


@lru_cache(512)
def _encoded(name: str, value: Hashable) -> str:
    """Cached: the same names recur, and masking and encoding take most of the time of a record."""
    return f'"{name}":{_ENCODE(_safe(name, value))}'


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
    # Mask, then cut: half of a token may not match the pattern of one.
    return _cut(_REDACTOR.name(text) if is_name else _REDACTOR.line(text))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
