"""The types of the settings of traces."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator

from mintonce_server.common.files import FileError
from mintonce_server.config.issuer_types import is_header_value
from mintonce_server.config.types import Kind, invalid, secret_in, split_or_none
from mintonce_server.core.secret import Secret

MAX_HEADERS: Final = 16
_NAME: Final = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)
_ENDPOINT_REMEDY: Final = "Write http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:4317, without a path."
_LINES_REMEDY: Final = "Write one header a line, NAME: VALUE, such as `x-tenant: shop`."


def _otlp_url(value: str) -> str:
    parts = split_or_none(value)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or not parts.port:
        raise invalid("is not the address of an OTLP receiver for gRPC", _ENDPOINT_REMEDY)
    if "@" in parts.netloc:
        raise invalid("contains a user or a password", "Write a header into a file, and name it as headers_file.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise invalid("contains a path, as receivers for HTTP have one; this one is asked by gRPC", _ENDPOINT_REMEDY)
    return f"{parts.scheme}://{urlsplit(value).netloc}"


def otlp_headers(data: bytes) -> list[tuple[str, Secret]]:
    """The headers in the bytes of a headers_file, names in lower case. Raises FileError, which shows none of them."""
    headers: list[tuple[str, Secret]] = []
    for line in data.splitlines():
        if not line.strip():
            continue
        name, colon, value = (part.strip() for part in secret_in(line).reveal().partition(":"))
        if not colon or not _NAME.fullmatch(name.lower()) or not is_header_value(value):
            raise FileError("has a line that is no header", _LINES_REMEDY)
        if name.lower().startswith("grpc-") or name.lower().endswith("-bin"):
            raise FileError("names a header that gRPC reserves", _LINES_REMEDY)
        headers.append((name.lower(), Secret(value)))
    if not 0 < len(headers) <= MAX_HEADERS:
        raise FileError(f"has no header, or more than {MAX_HEADERS}", _LINES_REMEDY)
    return headers


OtlpUrl = Annotated[str, AfterValidator(_otlp_url), Kind("URL")]
