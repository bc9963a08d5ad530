"""gRPC reflection: grpc.reflection.v1, and v1alpha for older tools.

grpcio-reflection serves v1alpha only. The messages of v1 are the same but for the name of their package.
"""

from collections.abc import Sequence
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc.aio import Server
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1ALPHA: Final = reflection.SERVICE_NAME
V1: Final = V1ALPHA.replace("v1alpha", "v1")

_GRPC: Final[Any] = grpc  # the published types of handlers require type arguments that grpc itself does not take


def add_reflection(server: Server, services: Sequence[str]) -> None:
    """Serve the descriptors of these services, and of reflection itself."""
    _add_v1_descriptors()
    servicer: Any = reflection.aio.ReflectionServicer((*services, V1, V1ALPHA))
    handler = _GRPC.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (V1, V1ALPHA):
        server.add_registered_method_handlers(name, {"ServerReflectionInfo": handler})


def _add_v1_descriptors() -> None:
    """Into the default pool, where reflection looks for what it shows."""
    alpha = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    text = text_format.MessageToString(alpha).replace("reflection.v1alpha", "reflection.v1")
    v1 = text_format.Parse(text.replace("reflection/v1alpha", "reflection/v1"), FileDescriptorProto())
    pool: Any = descriptor_pool.Default()
    pool.AddSerializedFile(v1.SerializeToString())
