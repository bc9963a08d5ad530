"""Logs: one event a line, on stderr, without secrets. What libraries log goes the same way."""

import logging
import threading
from collections.abc import Iterable, Mapping
from contextvars import ContextVar, Token
from typing import Any, Final, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from mintonce_server.core.secret import Secret
from mintonce_server.observability.clock import SystemClock
from mintonce_server.observability.outlet import Outlet
from mintonce_server.observability.quiet import Quiet
from mintonce_server.observability.redaction import NAMES, Redactor
from mintonce_server.observability.rendering import as_console, as_json, exception_text, timestamp

Format = Literal["json", "console"]
Logger = FilteringBoundLogger

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
SAME_KIND: Final = 40
"""Lines of a library are of one kind when their texts, before anything is filled in, begin alike for so long."""
MAX_REQUEST_ID: Final = 64

# They log requests with queries and headers; what is below a warning of theirs is never written, at any level of ours.
_TALKATIVE: Final = ("httpx", "httpcore", "hpack", "h2")

_CONTAINERS = (Mapping, list, tuple, set, frozenset, bytes, bytearray)

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_caller: ContextVar[str | None] = ContextVar("caller", default=None)


class _Output:
    """Where lines go, and how they look."""

    def __init__(self, level: int, format: Format, stream: TextIO | None, redactor: Redactor) -> None:
        self.level = level
        self._render = as_json if format == "json" else as_console
        self.redactor = redactor
        self._clock = SystemClock()
        self._outlet = Outlet(stream, self._clock)
        self._lock = threading.RLock()

    def write(self, level: str, event: str, fields: EventDict) -> None:
        """Write one event. Never raises: a log line must not decide what becomes of what it is about."""
        try:
            line = self._line(level, event, fields)
        except Exception as error:  # noqa: BLE001 - such as a value whose repr raises
            failed: dict[str, object] = {"level": "error", "event": "log_failed", "detail": type(error).__name__}
            line = self._render(failed, {}, self.redactor.line)
        with self._lock:
            try:
                self._outlet.write(line, self._lost)
            except (OSError, ValueError):  # a reader that went away, a closed stream: there is nowhere left to say so
                pass

    def _lost(self, count: int) -> str:
        return self._line(
            "warning",
            "log_lines_lost",
            {
                "count": count,
                "detail": "whatever reads stderr stood still",
                "remedy": "See why the log's reader is slow.",
            },
        )

    def masked_arguments(self, arguments: object) -> Any:
        """Arguments of a %-format with containers masked: as part of the text, names in them would tell nothing."""
        if isinstance(arguments, tuple):
            return tuple(self._masked_argument(item) for item in cast("tuple[object, ...]", arguments))
        return self._masked_argument(arguments)

    def _masked_argument(self, argument: object) -> object:
        return self.redactor.value(cast("object", argument)) if isinstance(argument, _CONTAINERS) else argument

    def _line(self, level: str, event: str, fields: EventDict) -> str:
        head: EventDict = {"timestamp": timestamp(self._clock.unix()), "level": level, "event": event}
        if (request_id := _request_id.get()) is not None:
            head["request_id"] = request_id
        if (caller := _caller.get()) is not None:
            head["caller"] = caller
        exception = exception_text(fields.pop("exc_info", None))
        tail: EventDict = {} if exception is None else {"exception": exception}
        # The head comes first, and no field can pretend to be part of it.
        rest = {name: value for name, value in {**fields, **tail}.items() if name not in head}
        ordered: EventDict = {**head, **rest}
        names = {name: self.redactor.names(value) for name, value in ordered.items() if name in NAMES}
        masked = {name: self.redactor.field(name, value) for name, value in ordered.items() if name not in NAMES}
        return self._render(masked, names, self.redactor.line)


_output = _Output(LEVELS["info"], "json", None, Redactor())


def configure(level: str, format: Format, stream: TextIO | None = None, known: Iterable[Secret] = ()) -> None:
    """Set up logging for the program; again, to change it.

    `stream`: None for stderr. `known`: secrets that are searched for in every line, whatever it is about.
    """
    global _output  # noqa: PLW0603 - like stdlib's root logger, there is one a process
    _output = _Output(LEVELS[level], format, stream, Redactor(known))
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, _Bridge):
            root.removeHandler(handler)
    root.addHandler(_Bridge(LEVELS[level]))
    root.setLevel(LEVELS[level])
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def know_secret(secret: Secret) -> None:
    """One more that is searched for in every line: those in files change."""
    _output.redactor.know(secret)


def get_logger(name: str) -> Logger:
    """A logger whose suppressed levels cost next to nothing.

    Ask after `configure`: the level is fixed by then. The rest (format, stream, known secrets) follows `configure`.
    """
    wrapper = structlog.make_filtering_bound_logger(_output.level)
    logger = cast("Logger", structlog.wrap_logger(None, [_write], wrapper, dict))
    return logger.bind(logger=name)  # a bound one: the proxy that wrap_logger gives is ten times slower


def bind_request_id(request_id: str) -> "BoundRequestId":
    """From now on, lines of this task and of those that it starts carry the id. Call it plainly or in a `with`."""
    return BoundRequestId(_request_id.set(request_id[:MAX_REQUEST_ID]))


def bound_request_id() -> str | None:
    """Of this task's call, if it has one yet."""
    return _request_id.get()


def bind_caller(name: str) -> None:
    """From now on, lines of this task and of those that it starts say who called."""
    _caller.set(name)


class BoundRequestId:
    """Ends the binding when its `with` block does."""

    def __init__(self, token: Token[str | None]) -> None:
        self._token = token

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _request_id.reset(self._token)


class _Bridge(logging.Handler):
    """Brings what is logged by the standard library's means to the same output.

    At a bounded rate for each kind of line: callers can make gRPC log every one of their calls.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._quiet = Quiet(SystemClock())

    def emit(self, record: logging.LogRecord) -> None:
        if (left_out := self._quiet.more((record.name, str(record.msg)[:SAME_KIND]))) is None:
            return
        more = {"left_out": left_out} if left_out else {}
        level = next((name for name, number in reversed(LEVELS.items()) if record.levelno >= number), "debug")
        _output.write(level, _message(record), {"logger": record.name, "exc_info": record.exc_info, **more})


def _message(record: logging.LogRecord) -> str:
    try:
        return str(record.msg) % _output.masked_arguments(record.args) if record.args else str(record.msg)
    except Exception as error:  # noqa: BLE001 - the library's slip; stdlib's own handler would print all arguments
        return f"a log call of {record.module} cannot be formatted: {type(error).__name__}"


def _write(_: object, method: str, event: EventDict) -> EventDict:
    """The only processor."""
    _output.write(method, str(event.pop("event", "")), event)
    raise structlog.DropEvent  # it is written: nothing is left to do for structlog
