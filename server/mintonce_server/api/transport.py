"""grpcio as a transport: from its contexts to our calls, and from what servicers return or raise to its answers.

To gRPC the methods take streams: then it calls them as soon as the headers are there, and leaves the message to us. On
the wire there is no difference.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, ClassVar, Final, NoReturn, cast

import grpc
from google.protobuf.message import DecodeError
from grpc.aio import AbortError, ServicerContext

from mintonce_server.api.status import StatusError, abort
from mintonce_server.calls.admission import GONE, Admission
from mintonce_server.calls.call import Call
from mintonce_server.calls.status import name_of
from mintonce_server.core.errors import Draining, InvalidRequest, MintonceError, PermissionDenied, Unauthenticated
from mintonce_server.core.tracing import CallTracer
from mintonce_server.observability.call_meter import CallMeter
from mintonce_server.observability.metrics import OTHER

Context = ServicerContext[Any, Any]
"""What gRPC hands to a method together with the message."""
Read = Callable[[bytes], object]
Unary = Callable[[object, Call], Awaitable[object]]
Streaming = Callable[[object, Call], AsyncGenerator[object]]
Conversation = Callable[[object, Context], AsyncGenerator[object]]
Handler = Any

NOT_RECEIVED: Final = object()
"""Takes the place of a request when `Call.refusal` says why there is none."""
UNREADABLE: Final = object()
"""Takes the place of a request that is not a message of the method."""

CONVERSATION_SECONDS: Final = 30.0
_GRPC: Final[Any] = grpc  # the published types of handlers cannot be said without their type arguments


class GrpcTransport:
    """What gRPC's context of a call says.

    Lets go of the context when the call ends: the context refers to its callbacks, and these to the call, so a
    reference that stayed here would leave a cycle for the garbage collector after each call.
    """

    __slots__ = ("_context", "_metadata", "peer")

    via: ClassVar[str] = "grpc"

    def __init__(self, context: Context) -> None:
        self._context: Context | None = context
        self._metadata: Sequence[tuple[str, str | bytes]] | None = None
        self.peer = str(context.peer())

    def metadata(self) -> Sequence[tuple[str, str | bytes]]:
        if self._metadata is None:
            found = self._context.invocation_metadata() if self._context else None
            self._metadata = cast("Sequence[tuple[str, str | bytes]]", found or ())
        return self._metadata

    def certificates(self) -> tuple[bytes | None, bytes]:
        shown: Mapping[str, Iterable[bytes]] = self._context.auth_context() if self._context else {}
        certificate = b"".join(tuple(shown.get("x509_pem_cert") or ())[:1]) or None
        return certificate, b"".join(tuple(shown.get("x509_pem_cert_chain") or ())[:1])

    def seconds_left(self) -> float | None:
        # None without a deadline, whatever the stubs say.
        return cast("float | None", self._context.time_remaining()) if self._context else 0.0

    def on_end(self, callback: Callable[[object], None]) -> None:
        if self._context:
            self._context.add_done_callback(cast("Any", callback))  # the published types want a class of theirs

    def release(self) -> None:
        self._context = None

    async def read(self) -> bytes | None:
        message: object = await self._context.read() if self._context else None
        return message if isinstance(message, bytes) else None


class Methods(grpc.GenericRpcHandler):
    """All methods of a server.

    They are not registered with gRPC by name: it would keep a queue of calls for each, and a flood of calls of several
    methods would hold up those of any one of them for as long as all queues take together.
    """

    def __init__(self, unknown: Admission, meter: CallMeter) -> None:
        """`unknown`: admits calls of methods that do not exist."""
        ended = meter.method(OTHER)

        async def no_such_method(_: object, context: Context) -> None:
            call = await _admitted(unknown, context, streams=True)
            ended("UNIMPLEMENTED", unknown.age(call))
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "there is no such method")

        self.by_name: dict[str, Handler] = {}
        self._unknown: Handler = grpc.stream_stream_rpc_method_handler(cast("Any", no_such_method))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        """The handler of a method, whether or not there is one."""
        return self.by_name.get(handler_call_details.method, self._unknown)


class Registry:
    """Takes the place of a server for generated code. Puts the services that it adds behind an admission."""

    def __init__(self, methods: Methods, admission: Admission, meter: CallMeter) -> None:
        self._methods = methods
        self._admission = admission
        self._meter = meter

    def add_generic_rpc_handlers(self, _: object) -> None:
        """Generated code registers everything twice; the other call has the names."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """The service's methods by name."""
        for name, handler in handlers.items():
            self._methods.by_name[f"/{service}/{name}"] = _admitting(
                handler, self._admission, _Measured(f"{service}/{name}", self._admission, self._meter)
            )


class _Measured:
    """Counts the calls of one method."""

    def __init__(self, name: str, admission: Admission, meter: CallMeter) -> None:
        self.meter = meter
        self._name = name
        self._age = admission.age
        self._ended = meter.method(name)

    def trace(self, tracer: CallTracer, call: Call, *, watches: bool) -> None:
        """Not a call whose caller is not known: it must not decide what is recorded."""
        if call.proof is None:
            return
        try:
            call.span = tracer.call(self._name, call.peer, call.transport.metadata(), call.at, watches=watches)
        except Exception as error:  # noqa: BLE001 - what a caller sent must not fail in a library, and a call not for it
            call.log_failure(error)

    def succeeded(self, call: Call) -> None:
        self._ended("OK", self._age(call))
        if call.span is not None:
            call.span.end("OK", "", "")

    def hung_up(self, call: Call) -> None:
        self._ended("CANCELLED", self._age(call))
        if call.span is not None:
            call.span.end("CANCELLED", "", call.client)

    def failed(self, call: Call, error: Exception) -> None:
        self._ended(_code(error), self._age(call))
        self.note(call, error)

    def note(self, call: Call, error: Exception) -> None:
        """Why a call failed, in our own words."""
        reason = ""
        if not isinstance(error, StatusError):
            reason = error.reason.value if isinstance(error, MintonceError) else "INTERNAL"
            self.meter.failed(self._name, reason, call.client)
        if call.span is not None:
            call.span.end(_code(error), reason, call.client)


def _code(error: Exception) -> str:
    return error.code.name if isinstance(error, StatusError) else name_of(error)


def _admitting(handler: Any, admission: Admission, measured: _Measured) -> Handler:
    """The handler of a method, behind the admission."""
    if handler.request_streaming:
        return handler._replace(stream_stream=_conversation(handler.stream_stream, admission))
    read = _lenient(handler.request_deserializer)
    if handler.response_streaming:
        many: Any = _streaming(handler.unary_stream, read, admission, measured)
        return _GRPC.stream_stream_rpc_method_handler(many, None, handler.response_serializer)
    one: Any = _unary(handler.unary_unary, read, admission, measured)
    return _GRPC.stream_unary_rpc_method_handler(one, None, handler.response_serializer)


def _unary(
    method: Unary, read: Read, admission: Admission, measured: _Measured
) -> Callable[[object, Context], Awaitable[object]]:
    meter = measured.meter

    async def handle(_: object, context: Context) -> object:
        call = await _admitted(admission, context, streams=False)
        meter.unary += 1
        if meter.tracer is not None:
            measured.trace(meter.tracer, call, watches=False)
        try:
            request = await _request(read, admission, call)
            answer = await method(_readable(request), call)
        except asyncio.CancelledError:
            measured.hung_up(call)
            raise
        except Exception as error:  # noqa: BLE001 - the last line: grpc would send the exception's text to the caller
            measured.failed(call, error)
            await _fail(context, call, error)
        else:
            measured.succeeded(call)
            return answer
        finally:
            meter.unary -= 1

    return handle


def _streaming(
    method: Streaming, read: Read, admission: Admission, measured: _Measured
) -> Callable[[object, Context], Awaitable[None]]:
    meter = measured.meter

    def failed(call: Call, error: Exception) -> None:
        meter.watch_ended(_end_of_watch(error))
        measured.note(call, error)

    async def handle(_: object, context: Context) -> None:
        call = await _admitted(admission, context, streams=True)
        meter.watches += 1
        if meter.tracer is not None:
            measured.trace(meter.tracer, call, watches=True)
        try:
            request = await _request(read, admission, call)
            async with aclosing(_answers(method, request, context, call, failed)) as answers:
                async for answer in answers:
                    await context.write(answer)
        except asyncio.CancelledError:
            if context.done() or (why := call.why_dismissed()) is None:
                meter.watch_ended("hung_up")
                if call.span is not None:
                    call.span.end("CANCELLED", "", call.client)
                raise
            failed(call, why)
            await _fail(context, call, why)
        finally:
            meter.watches -= 1

    return handle


async def _answers(
    method: Streaming, request: object, context: Context, call: Call, failed: Callable[[Call, Exception], None]
) -> AsyncGenerator[object]:
    try:
        async with aclosing(method(_readable(request), call)) as answers:
            async for answer in answers:
                yield answer
    except Exception as error:  # noqa: BLE001 - as above
        failed(call, error)
        await _fail(context, call, error)


def _end_of_watch(error: Exception) -> str:
    match error:
        case Draining():
            return "draining"
        case PermissionDenied():
            return "denied"
        case Unauthenticated():
            return "expired"
        case _:
            return "error"


def _conversation(method: Conversation, admission: Admission) -> Callable[[object, Context], Awaitable[None]]:
    """For reflection, whose callers send several messages: all of it within CONVERSATION_SECONDS."""

    async def handle(requests: object, context: Context) -> None:
        call = await _admitted(admission, context, streams=True)
        try:
            async with asyncio.timeout(CONVERSATION_SECONDS), aclosing(method(requests, context)) as answers:
                async for answer in answers:
                    await context.write(answer)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "this takes too long")
        except DecodeError:
            await _fail(context, call, _unreadable())

    return handle


async def _admitted(admission: Admission, context: Context, *, streams: bool) -> Call:
    call = admission.admit(GrpcTransport(context), streams=streams)
    if call is None:
        await _hang_up(context)
    return call


async def _hang_up(context: Context) -> NoReturn:
    """For a call whose connection is closed: gRPC will say so in a moment, by cancelling this task."""
    with suppress(TimeoutError):
        async with asyncio.timeout(GONE):
            await asyncio.get_running_loop().create_future()
    await context.abort(grpc.StatusCode.CANCELLED, "the connection is closed")


async def _request(read: Read, admission: Admission, call: Call) -> object:
    message = None if call.refusal else await admission.message(call)
    return NOT_RECEIVED if message is None else read(message)


async def _fail(context: Context, call: Call, error: Exception) -> NoReturn:
    """End the call with the error's status, and log it."""
    if isinstance(error, AbortError):  # the call has been ended already
        raise error
    if isinstance(error, StatusError):
        await context.abort(error.code, error.details)
    await abort(context, call.log_failure(error), call.request_id())


def _readable(request: object) -> object:
    if request is UNREADABLE:
        raise _unreadable()
    return request


def _unreadable() -> InvalidRequest:
    """For the sender of bytes that are no message of the method."""
    return InvalidRequest("the request cannot be read", remedy="Send a message of this method, as protobuf.")


def _lenient(read: Callable[[bytes], object]) -> Read:
    """UNREADABLE instead of DecodeError, for each of which gRPC would log a traceback."""

    def reading(data: bytes) -> object:
        try:
            return read(data)
        except DecodeError:
            return UNREADABLE

    return reading
