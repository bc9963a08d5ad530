"""Traces, if the settings ask for them: where they go, and which parts make spans."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from mintonce_server.common.clock import Clock
from mintonce_server.common.files import FileError, require_not_writable, require_private
from mintonce_server.common.redis_url import parse_redis_url
from mintonce_server.common.trust import trust
from mintonce_server.config import Settings, otlp_headers
from mintonce_server.core.errors import MintonceError
from mintonce_server.observability.logs import get_logger, know_secret, show_trace
from mintonce_server.reload.access import AccessFiles
from mintonce_server.reload.files import UnusableFile

if TYPE_CHECKING:
    from mintonce_server.observability.trace_export import ExportOptions
    from mintonce_server.observability.traces import Traces

Header = tuple[str, str]


class NoTracing(MintonceError):
    """Traces are asked for, and this installation lacks the extra."""

    def __init__(self) -> None:
        super().__init__(
            "tracing.endpoint is set, and OpenTelemetry is not installed",
            remedy="Install it: pip install 'mintonce[server,tracing]'. Or remove tracing.endpoint.",
        )


@asynccontextmanager
async def tracing(settings: Settings, files: AccessFiles, clock: Clock) -> AsyncGenerator["Traces | None"]:
    """Traces until the end of the block; None if they are off. Raises MintonceError."""
    options = export_options(settings, files)
    if options is None:
        yield None
        return
    # Only here: it takes a tenth of a second, and most installations lack it.
    from mintonce_server.observability.trace_export import TraceExport
    from mintonce_server.observability.traces import Traces

    export = TraceExport(options, clock)
    if export.tracer is None:
        get_logger(__name__).warning("tracing_off", detail="OTEL_SDK_DISABLED is set")
        yield None
        return
    traces = Traces(export.tracer, clock, _store(settings))
    show_trace(traces.ids)
    try:
        yield traces
    finally:
        show_trace(None)
        await export.close()


def export_options(settings: Settings, files: AccessFiles) -> "ExportOptions | None":
    """Where traces go. None: nowhere. Loads the files. Raises MintonceError."""
    chosen = settings.tracing
    if chosen.endpoint is None:
        return None
    try:
        from mintonce_server.observability.trace_export import ExportOptions
    except ModuleNotFoundError as error:
        raise NoTracing from error
    return ExportOptions(
        chosen.endpoint, chosen.sample_ratio, _authorities(settings), _headers(settings, files), version("mintonce")
    )


def _authorities(settings: Settings) -> bytes | None:
    if (path := settings.tracing.ca_file) is None:
        return None
    try:
        require_not_writable(path)
        content = path.read_bytes()
        trust(content)
    except FileError as error:
        raise UnusableFile(f"{path} {error}", remedy=error.remedy) from error
    except (OSError, ValueError) as error:
        remedy = "Write the certificates of the authorities as PEM (-----BEGIN CERTIFICATE-----)."
        raise UnusableFile(f"{path}: {error}", remedy=remedy) from error
    return content


def _headers(settings: Settings, files: AccessFiles) -> Callable[[], Sequence[Header]]:
    if (path := settings.tracing.headers_file) is None:
        return lambda: ()

    def load(content: Sequence[bytes]) -> Sequence[Header]:
        try:
            headers = otlp_headers(content[0])
        except FileError as error:
            raise UnusableFile(f"{path} {error}", remedy=error.remedy) from error
        for _, value in headers:
            know_secret(value)
        return [(name, value.reveal()) for name, value in headers]

    return files.add("headers of traces", [(path, require_private)], load)


def _store(settings: Settings) -> tuple[str, int] | None:
    """Host and port of a store that is one server."""
    target = parse_redis_url(settings.redis.url.reveal())
    return next(iter(target.addresses), None) if target.kind == "single" else None
