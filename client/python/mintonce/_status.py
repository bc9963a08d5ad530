"""The three messages of google.rpc that errors travel in, without googleapis-common-protos.

They live in a descriptor pool of their own, so that an application which does install that package meets no
conflict. Field numbers are those of google/rpc/status.proto and error_details.proto; a map is on the wire a repeated
key-value entry.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

METADATA_KEY: Final = "grpc-status-details-bin"
_PACKAGE: Final = "mintonce.status"
_ERROR_INFO: Final = "google.rpc.ErrorInfo"
_RETRY_INFO: Final = "google.rpc.RetryInfo"
_DOMAIN: Final = "mintonce"

# message → fields: name, number, type ("Name" for a message, "Name*" for many of them)
_FIELDS: Final[dict[str, list[tuple[str, int, str]]]] = {
    "Status": [("code", 1, "int32"), ("message", 2, "string"), ("details", 3, "Detail*")],
    "Detail": [("type_url", 1, "string"), ("value", 2, "bytes")],
    "ErrorInfo": [("reason", 1, "string"), ("domain", 2, "string"), ("metadata", 3, "Entry*")],
    "Entry": [("key", 1, "string"), ("value", 2, "string")],
    "RetryInfo": [("retry_delay", 1, "Delay")],
    "Delay": [("seconds", 1, "int64"), ("nanos", 2, "int32")],
}
_SCALARS: Final = {
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}


@dataclass(frozen=True, slots=True)
class Details:
    """What the server said about an error. `retry_after` in seconds; `reason` is "" when the server said nothing."""

    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    retry_after: float | None = None


def decode(metadata: Iterable[tuple[str, str | bytes]]) -> Details:
    """Read the details out of a call's trailing metadata. What is absent, foreign or malformed counts as not said."""
    packed = next((value for key, value in metadata if key == METADATA_KEY and isinstance(value, bytes)), b"")
    try:
        return _read(_parse("Status", packed))
    except DecodeError:
        # The sender does not use google.rpc. The status code still says what matters.
        return Details()


def _read(status: Any) -> Details:
    reason, metadata, retry_after = "", dict[str, str](), None
    for detail in status.details:
        kind = detail.type_url.rpartition("/")[2]
        if kind == _ERROR_INFO:
            info = _parse("ErrorInfo", detail.value)
            if info.domain == _DOMAIN:
                reason, metadata = info.reason, {entry.key: entry.value for entry in info.metadata}
        elif kind == _RETRY_INFO:
            delay = _parse("RetryInfo", detail.value).retry_delay
            retry_after = max(0.0, delay.seconds + delay.nanos / 1e9)
    return Details(reason, metadata, retry_after)


def _parse(name: str, packed: bytes) -> Any:
    message = _TYPES[name]()
    message.ParseFromString(packed)
    return message


def _types() -> dict[str, type[Message]]:
    file = FileDescriptorProto(name="mintonce/status.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _FIELDS.items():
        file.message_type.add(name=name, field=[_field(*each) for each in fields])
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _FIELDS}


def _field(name: str, number: int, kind: str) -> FieldDescriptorProto:
    label = FieldDescriptorProto.LABEL_REPEATED if kind.endswith("*") else FieldDescriptorProto.LABEL_OPTIONAL
    result = FieldDescriptorProto(name=name, number=number, label=label)
    if kind in _SCALARS:
        result.type = _SCALARS[kind]
    else:
        result.type = FieldDescriptorProto.TYPE_MESSAGE
        result.type_name = f".{_PACKAGE}.{kind.rstrip('*')}"
    return result


_TYPES: Final = _types()
