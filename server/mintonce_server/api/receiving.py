"""Puts the entrance before a server's methods: they get their message by way of it, or the reason why there is none.

To gRPC the methods take streams: then it calls them as soon as the headers are there, and leaves the message to us. On
the wire there is no difference.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final, NoReturn, cast

import grpc
from google.protobuf.message import DecodeError

from mintonce_server.api.arrival import arrival
from mintonce_server.api.calls import UNREADABLE, fail, unreadable
from mintonce_server.api.context import Context
from mintonce_server.api.entrance import Entrance
from mintonce_server.api.wasted import GONE

Read = Callable[[bytes], object]
Unary = Callable[[object, Context], Awaitable[object]]
Streaming = Callable[[object, Context], AsyncGenerator[object]]
Handler = Any

CONVERSATION_SECONDS: Final = 30.0
_GRPC: Final[Any] = grpc  # the published types of handlers cannot be said without their type arguments
NOT_RECEIVED: Final = object()
"""What a method gets in place of a request when `arrival().refusal` says why."""


class Methods(grpc.GenericRpcHandler):
    """All methods of a server.

    They are not registered with gRPC by name: it would keep a queue of calls for each, and a flood of calls of several
    methods would hold up those of any one of them for as long as all queues take together.
    """

    def __init__(self, unknown: Entrance) -> None:
        """`unknown`: what calls of methods pass that do not exist."""

        async def no_such_method(_: object, context: Context) -> None:
            if unknown.arrive(context, streams=True) is None:
                await _hang_up(context)
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "there is no such method")

        self.by_name: dict[str, Handler] = {}
        self._unknown: Handler = grpc.stream_stream_rpc_method_handler(cast("Any", no_such_method))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        """The handler of a method, whether or not there is one."""
        return self.by_name.get(handler_call_details.method, self._unknown)


class Receiving:
    """Generated code takes it for a server. The services that it adds are put behind an entrance."""

    def __init__(self, methods: Methods, entrance: Entrance) -> None:
        self._methods = methods
        self._entrance = entrance

    def add_generic_rpc_handlers(self, _: object) -> None:
        """Generated code says everything twice; the other way has the names."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """The service's methods by name."""
        for name, handler in handlers.items():
            self._methods.by_name[f"/{service}/{name}"] = received(handler, self._entrance)


def received(handler: Any, entrance: Entrance) -> Handler:
    """The handler of a method, behind the entrance."""
    if handler.request_streaming:
        return handler._replace(stream_stream=_conversation(handler.stream_stream, entrance))
    read = _lenient(handler.request_deserializer)
    if handler.response_streaming:
        many: Any = _streaming(handler.unary_stream, read, entrance)
        return _GRPC.stream_stream_rpc_method_handler(many, None, handler.response_serializer)
    one: Any = _unary(handler.unary_unary, read, entrance)
    return _GRPC.stream_unary_rpc_method_handler(one, None, handler.response_serializer)


def _unary(method: Unary, read: Read, entrance: Entrance) -> Unary:
    async def call(_: object, context: Context) -> object:
        return await method(await _request(read, entrance, context, streams=False), context)

    return call


def _streaming(method: Streaming, read: Read, entrance: Entrance) -> Callable[[object, Context], Awaitable[None]]:
    async def call(_: object, context: Context) -> None:
        request = await _request(read, entrance, context, streams=True)
        try:
            async with aclosing(method(request, context)) as answers:
                async for answer in answers:
                    await context.write(answer)
        except asyncio.CancelledError:
            if context.done() or (why := arrival().why_dismissed()) is None:
                raise
            await fail(context, why)

    return call


def _conversation(method: Streaming, entrance: Entrance) -> Callable[[object, Context], Awaitable[None]]:
    """For reflection, whose callers send several messages: all of it within CONVERSATION_SECONDS."""

    async def call(requests: object, context: Context) -> None:
        if entrance.arrive(context, streams=True) is None:
            await _hang_up(context)
        try:
            async with asyncio.timeout(CONVERSATION_SECONDS), aclosing(method(requests, context)) as answers:
                async for answer in answers:
                    await context.write(answer)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "this takes too long")
        except DecodeError:
            await fail(context, unreadable())

    return call


async def _hang_up(context: Context) -> NoReturn:
    """For a call whose connection is closed: gRPC will say so in a moment, by cancelling this task."""
    with suppress(TimeoutError):
        async with asyncio.timeout(GONE):
            await asyncio.get_running_loop().create_future()
    await context.abort(grpc.StatusCode.CANCELLED, "the connection is closed")


async def _request(read: Read, entrance: Entrance, context: Context, *, streams: bool) -> object:
    if (came := entrance.arrive(context, streams=streams)) is None:
        await _hang_up(context)
    message = None if came.refusal else await entrance.message(context, came)
    return NOT_RECEIVED if message is None else read(message)


def _lenient(read: Callable[[bytes], object]) -> Read:
    """A message that is none is told in our own words; gRPC would log a traceback for each."""

    def reading(data: bytes) -> object:
        try:
            return read(data)
        except DecodeError:
            return UNREADABLE

    return reading
