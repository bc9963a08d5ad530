"""What gRPC hands to a method besides the message."""

from typing import Any

from grpc.aio import ServicerContext

Context = ServicerContext[Any, Any]
