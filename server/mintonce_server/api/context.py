"""What gRPC hands to a method together with the message."""

from typing import Any

from grpc.aio import ServicerContext

Context = ServicerContext[Any, Any]
