"""Logs: one event per line, on stderr, without secrets. What libraries log goes the same way."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar, Token
from typing import Any, Final, Literal, TextIO, cast

import structlog
from structlog.processors import ExceptionRenderer, add_log_level
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from mintonce_server.common.clock import SystemClock
from mintonce_server.core.secret import Secret
from mintonce_server.observability.lines import Outlet, as_console, as_json, exception_text, timestamp
from mintonce_server.observability.quiet import Quiet
from mintonce_server.observability.redaction import Redactor

Format = Literal["json", "console"]
Logger = FilteringBoundLogger

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
SAME_KIND: Final = 40
"""Lines of a library are of one kind if the first characters of their unformatted texts are the same."""
MAX_REQUEST_ID: Final = 64

# They log requests with queries and headers: below warning they are never logged, at any level of ours.
_TALKATIVE: Final = ("httpx", "httpcore", "hpack", "h2")

_CONTAINERS = (Mapping, list, tuple, set, frozenset, bytes, bytearray)
_HEAD: Final = ("timestamp", "level", "event")

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_caller: ContextVar[str | None] = ContextVar("caller", default=None)


class _Output:
    """The chain of structlog's processors, and where lines go."""

    def __init__(self, level: int, format: Format, stream: TextIO | None, redactor: Redactor) -> None:
        self.level = level
        self.redactor = redactor
        self._as_line = as_json if format == "json" else as_console
        self._clock = SystemClock()
        self._outlet = Outlet(stream, self._clock)
        self._lock = threading.RLock()
        self._processors: tuple[Processor, ...] = (
            add_log_level,
            self._add_head,
            ExceptionRenderer(exception_text),
            redactor,
        )

    def line(self, method: str, event: EventDict) -> str:
        """Run the processors. Never raises: a failing log call must not affect what it is about."""
        try:
            for processor in self._processors:
                event = cast("EventDict", processor(None, method, event))
            return self._as_line(event, self.redactor.line)
        except Exception as error:  # noqa: BLE001 - such as a value whose repr raises
            failed: EventDict = {"level": "error", "event": "log_failed", "detail": type(error).__name__}
            return self._as_line(failed, self.redactor.line)

    def write(self, line: str) -> None:
        """Write one line. Never raises."""
        with self._lock:
            try:
                self._outlet.write(line, self._lost)
            except (OSError, ValueError):  # the reader is gone, or the stream closed: there is no place to report it
                pass

    def masked_arguments(self, arguments: object) -> Any:
        """Arguments of a %-format with containers masked: in the formatted text, their names could not be parsed."""
        if isinstance(arguments, tuple):
            return tuple(self._masked_argument(item) for item in cast("tuple[object, ...]", arguments))
        return self._masked_argument(arguments)

    def _masked_argument(self, argument: object) -> object:
        return self.redactor.value(cast("object", argument)) if isinstance(argument, _CONTAINERS) else argument

    def _add_head(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        """A processor: time and context come first, and no field can replace them."""
        head: EventDict = dict.fromkeys(_HEAD)
        head["timestamp"], head["level"] = timestamp(self._clock.unix()), event["level"]
        head["event"] = str(event.get("event", ""))
        if (request_id := _request_id.get()) is not None:
            head["request_id"] = request_id
        if (caller := _caller.get()) is not None:
            head["caller"] = caller
        if _trace_ids is not None and (ids := _trace_ids()) is not None:
            head["trace_id"], head["span_id"] = ids
        return {**head, **{name: value for name, value in event.items() if name not in head}}

    def _lost(self, count: int) -> str:
        return self.line(
            "warning",
            {
                "event": "log_lines_lost",
                "count": count,
                "detail": "the reader of stderr did not read",
                "remedy": "Find out why the reader of the log is slow.",
            },
        )


_trace_ids: Callable[[], tuple[str, str] | None] | None = None
_output = _Output(LEVELS["info"], "json", None, Redactor())


def configure(level: str, format: Format, stream: TextIO | None = None, known: Iterable[Secret] = ()) -> None:
    """Set up logging for the program. May be called again to change it.

    `stream`: None for stderr. `known`: secrets that are masked in every line.
    """
    global _output  # noqa: PLW0603 - like stdlib's root logger, there is one per process
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
    """One more secret to mask in every line, for those that are loaded later."""
    _output.redactor.know(secret)


def show_trace(ids: Callable[[], tuple[str, str] | None] | None) -> None:
    """Add trace_id and span_id to each line, if `ids` returns them for the task that logs. None: no traces."""
    global _trace_ids  # noqa: PLW0603 - as above
    _trace_ids = ids


def get_logger(name: str) -> Logger:
    """A logger whose suppressed levels cost next to nothing.

    Call it after `configure`: the level is fixed then. The rest (format, stream, known secrets) follows `configure`.
    """
    wrapper = structlog.make_filtering_bound_logger(_output.level)
    logger = cast("Logger", structlog.wrap_logger(_Writer(), [_as_line], wrapper, dict))
    return logger.bind(logger=name)  # bound: the proxy that wrap_logger returns is ten times slower


def bind_request_id(request_id: str) -> "BoundRequestId":
    """Add the id to all lines of this task and its child tasks. Call it alone or in a `with`."""
    return BoundRequestId(_request_id.set(request_id[:MAX_REQUEST_ID]))


def bound_request_id() -> str | None:
    """The id of this task's call, if it has one yet."""
    return _request_id.get()


def bind_caller(name: str) -> None:
    """Add the caller to all lines of this task and its child tasks."""
    _caller.set(name)


class BoundRequestId:
    """Ends the binding when its `with` block ends."""

    def __init__(self, token: Token[str | None]) -> None:
        self._token = token

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _request_id.reset(self._token)


class _Writer:
    """The logger that structlog wraps: takes finished lines."""

    def msg(self, line: str) -> None:
        _output.write(line)

    debug = info = warning = error = critical = exception = msg


def _as_line(_logger: object, method: str, event: EventDict) -> str:
    """structlog's processor chain as one processor, so that `configure` can replace it, and no exception gets out."""
    return _output.line(method, event)


class _Bridge(logging.Handler):
    """Brings what is logged through the standard library to the same output.

    At a bounded rate for each kind of line: callers can make gRPC log each of their calls.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._quiet = Quiet(SystemClock())

    def emit(self, record: logging.LogRecord) -> None:
        if (left_out := self._quiet.more((record.name, str(record.msg)[:SAME_KIND]))) is None:
            return
        more = {"left_out": left_out} if left_out else {}
        level = next((name for name, number in reversed(LEVELS.items()) if record.levelno >= number), "debug")
        event = {"event": _message(record), "logger": record.name, "exc_info": record.exc_info, **more}
        _output.write(_output.line(level, event))


def _message(record: logging.LogRecord) -> str:
    try:
        return str(record.msg) % _output.masked_arguments(record.args) if record.args else str(record.msg)
    except Exception as error:  # noqa: BLE001 - a bug of the library; stdlib's own handler would print all arguments
        return f"a log call of {record.module} cannot be formatted: {type(error).__name__}"
