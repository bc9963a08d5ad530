"""Requests that are none: gRPC itself would end them as UNKNOWN, with a traceback in the log for each."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

UNREADABLE: Final = object()
"""What a method gets in place of a request that cannot be read."""


class Decoding:
    """Stands before a server while services are added to it."""

    def __init__(self, server: aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, _: object) -> None:
        """Generated code says everything twice; the other way has the names."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """The service's methods by name."""
        lenient = {
            name: handler._replace(request_deserializer=_lenient(handler.request_deserializer))
            for name, handler in handlers.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, lenient),))
        self._server.add_registered_method_handlers(service, lenient)


def _lenient(read: Callable[[bytes], object]) -> Callable[[bytes], object]:
    def reading(data: bytes) -> object:
        try:
            return read(data)
        except DecodeError:
            return UNREADABLE

    return reading
