"""The thin client of Mintonce: grpcio, protobuf and the standard library, nothing else.

    with TokenSource("billing", "https://api.example.com/") as source:
        ...  # source.header() is "Bearer …", from memory, for as long as the service runs

Integrations are extras, imported only where they are used: mintonce.integrations.httpx, .requests, .grpc.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mintonce._wire import Rotation, TokenPage, TokenSummary
    from mintonce.aio import AsyncTokenClient, AsyncWatch
    from mintonce.aio_source import AsyncTokenSource
    from mintonce.client import TokenClient, Watch
    from mintonce.credentials import ApiKeyFile, BearerFile, Tls
    from mintonce.errors import Closed, MintonceError, Refused, TokenExpired, Unavailable, Unreachable
    from mintonce.source import TokenSource
    from mintonce.token import Origin, Token

    __version__: str

__all__ = [
    "ApiKeyFile",
    "AsyncTokenClient",
    "AsyncTokenSource",
    "AsyncWatch",
    "BearerFile",
    "Closed",
    "MintonceError",
    "Origin",
    "Refused",
    "Rotation",
    "Tls",
    "Token",
    "TokenClient",
    "TokenExpired",
    "TokenPage",
    "TokenSource",
    "TokenSummary",
    "Unavailable",
    "Unreachable",
    "Watch",
    "__version__",
]

# Loaded at first use: gRPC reads GRPC_VERBOSITY when it is imported, and the CLI must come before that to quieten it.
_HOMES = {
    "ApiKeyFile": "mintonce.credentials",
    "AsyncTokenClient": "mintonce.aio",
    "AsyncTokenSource": "mintonce.aio_source",
    "AsyncWatch": "mintonce.aio",
    "BearerFile": "mintonce.credentials",
    "Closed": "mintonce.errors",
    "MintonceError": "mintonce.errors",
    "Origin": "mintonce.token",
    "Refused": "mintonce.errors",
    "Rotation": "mintonce._wire",
    "Tls": "mintonce.credentials",
    "Token": "mintonce.token",
    "TokenClient": "mintonce.client",
    "TokenExpired": "mintonce.errors",
    "TokenPage": "mintonce._wire",
    "TokenSource": "mintonce.source",
    "TokenSummary": "mintonce._wire",
    "Unavailable": "mintonce.errors",
    "Unreachable": "mintonce.errors",
    "Watch": "mintonce.client",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name == "__version__":
            return version("mintonce")
        if name not in _HOMES:
            raise AttributeError(f"module 'mintonce' has no attribute '{name}'")
        return getattr(import_module(_HOMES[name]), name)

    def __dir__() -> list[str]:
        return __all__
