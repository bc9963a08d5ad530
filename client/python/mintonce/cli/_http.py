"""One GET of the server's `/status.json`. The standard library is enough: no redirects, no proxies, no cookies."""

import http.client
import json
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlencode, urlsplit

from mintonce._files import FileFault, read
from mintonce._text import visible
from mintonce.credentials import ApiKeyFile, Tls, authorization, bearer_from, tls_from, unusable
from mintonce.errors import Refused, Unreachable

URL_VARIABLE: Final = "MINTONCE_STATUS_URL"
DEFAULT_URL: Final = "http://127.0.0.1:9464"
PATH: Final = "/status.json"
LARGEST: Final = 8 << 20
"""Bytes. The server's answer has at most 200 keys, each with up to 20 kB of audience and scopes."""

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_MAX_TEXT: Final = 300
_DIGITS: Final = 18
_LARGEST_NUMBER: Final = 10.0**_DIGITS
"""More than any number of the page. A larger one, which JSON may have, could not be shown."""

T = TypeVar("T")

Snapshot = Mapping[str, Any]
"""The JSON form, see docs/reference/status.md. Fields that are missing count as not known."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server speaks HTTP: `socket` is the path of a Unix socket, or ""."""

    host: str
    port: int
    is_tls: bool
    socket: str = ""

    @property
    def is_private(self) -> bool:
        """Whether what is sent cannot be read on the way."""
        return self.is_tls or bool(self.socket) or self.host in _LOOPBACK

    def __str__(self) -> str:
        return f"unix:{self.socket}" if self.socket else f"{self.host}:{self.port}"


def address_of(url: str) -> Address:
    """From http://HOST:PORT, https://HOST:PORT or unix:/PATH. Raises Refused."""
    if url.startswith("unix:"):
        return Address("localhost", 0, is_tls=False, socket=url.removeprefix("unix:"))
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.path not in ("", "/"):
        raise Refused(
            "the address of the status page is malformed",
            reason="INVALID_REQUEST",
            remedy=f"Write http://HOST:PORT, https://HOST:PORT or unix:/PATH, in --http or ${URL_VARIABLE}.",
        )
    return Address(parts.hostname, port, is_tls=parts.scheme == "https")


def fetch(address: Address, environ: Mapping[str, str], timeout: float, query: Mapping[str, str]) -> Snapshot:
    """The snapshot of now. Raises Unreachable, or Refused for what no repetition mends."""
    headers = {"Accept": "application/json", **_authorization(address, environ)}
    fault = ""
    try:
        connection = _connection(address, environ, timeout)
        try:
            connection.request("GET", f"{PATH}?{urlencode(query)}" if query else PATH, headers=headers)
            answer = connection.getresponse()
            body = answer.read(LARGEST + 1)
        finally:
            connection.close()
    except ssl.SSLError as error:
        fault = f"TLS handshake failed: {error.reason or type(error).__name__}"
    except TimeoutError:
        fault = f"no answer within {timeout:g} s"
    except ConnectionRefusedError:
        fault = "nothing listens there"
    except http.client.HTTPException as error:
        fault = f"the answer is not HTTP ({type(error).__name__})"
    except OSError as error:
        fault = error.strerror or type(error).__name__
    else:
        return _snapshot(answer.status, body, address)
    raise Unreachable(
        f"cannot reach the status page at {address}: {visible(fault, _MAX_TEXT)}",
        reason="UNREACHABLE",
        remedy=f"Does the server have [http] listen? Name its address with --http or ${URL_VARIABLE}.",
    )


def drawn(draw: Callable[[], Iterable[T]], address: Address) -> list[T]:
    """What it draws of a snapshot. Raises Refused if a value there is none that a status page of Mintonce has."""
    with suppress(Exception):  # a text for a number, for example: there are too many ways to be wrong to look for each
        return list(draw())
    raise _foreign(address)


def _foreign(address: Address) -> Refused:
    return Refused(
        f"what answers at {address} is no status page of Mintonce",
        reason="INVALID_REQUEST",
        remedy=f"Name the address of [http] listen with --http or ${URL_VARIABLE}.",
    )


def _no_number(text: str) -> float:
    """For NaN and Infinity, which JSON does not have and nothing here can show."""
    raise ValueError(text[:_DIGITS])


def _whole(text: str) -> int:
    return int(text) if len(text) <= _DIGITS else int(_no_number(text))


def _number(text: str) -> float:
    found = float(text)
    return found if abs(found) < _LARGEST_NUMBER else _no_number(text)


def _snapshot(status: int, body: bytes, address: Address) -> Snapshot:
    if status != http.client.OK:
        said = visible(body[:_MAX_TEXT].decode("utf-8", "replace").strip())
        refused = f"the status page at {address} answered {status}: {said}"
        remedy = (
            f"Show an identity with the act admin, as with --api-key-file; or name another address: ${URL_VARIABLE}."
        )
        if status >= http.client.INTERNAL_SERVER_ERROR:
            raise Unreachable(refused, reason="UNREACHABLE", remedy="See the server's log.")
        raise Refused(refused, reason="PERMISSION_DENIED", remedy=remedy)
    try:
        snapshot: object = _parsed(body) if len(body) <= LARGEST else None
    except (ValueError, RecursionError):
        snapshot = None
    if not isinstance(snapshot, dict) or "sentence" not in snapshot:
        raise _foreign(address)
    return cast("Snapshot", snapshot)


def _parsed(body: bytes) -> object:
    """Raises ValueError or RecursionError."""
    parsed: object = json.loads(body, parse_constant=_no_number, parse_int=_whole, parse_float=_number)
    return parsed


def _authorization(address: Address, environ: Mapping[str, str]) -> dict[str, str]:
    """Raises Refused: a key never goes where others may read it."""
    bearer = bearer_from(environ)
    if bearer is None:
        return {}
    if not address.is_private:
        raise unusable(
            f"a key or bearer token must not be sent to {address} without TLS", "Use https:// in the address."
        )
    path = os.fspath(bearer.path)
    fault = ""
    try:
        return {"Authorization": authorization(read(path), path)}
    except FileFault as error:
        fault = str(error)
    kind = "an API key" if isinstance(bearer, ApiKeyFile) else "a bearer token"
    raise unusable(fault, f"The file must hold {kind} and nothing else.")


def _connection(address: Address, environ: Mapping[str, str], timeout: float) -> http.client.HTTPConnection:
    if address.socket:
        return _UnixConnection(address.socket, timeout)
    if not address.is_tls:
        return http.client.HTTPConnection(address.host, address.port, timeout=timeout)
    tls = tls_from(environ) or Tls()
    return _TlsConnection(address, timeout, _context(tls), tls.server_name or address.host)


def _context(tls: Tls) -> ssl.SSLContext:
    fault = ""
    try:
        context = ssl.create_default_context(cafile=None if tls.ca_file is None else os.fspath(tls.ca_file))
        if tls.certificate_file is not None:
            context.load_cert_chain(tls.certificate_file, tls.key_file, password="")
    except ssl.SSLError as error:
        fault = error.reason or type(error).__name__
    except OSError as error:
        fault = error.strerror or type(error).__name__
    else:
        return context
    raise unusable(f"the TLS files cannot be used: {fault}", "They must be there, be PEM, and belong together.")


class _UnixConnection(http.client.HTTPConnection):
    """To a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _TlsConnection(http.client.HTTPSConnection):
    """To a server whose certificate may be for another name than its address has."""

    def __init__(self, address: Address, timeout: float, context: ssl.SSLContext, server_name: str) -> None:
        super().__init__(address.host, address.port, timeout=timeout, context=context)
        self._tls, self._server_name = context, server_name

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self._server_name)
