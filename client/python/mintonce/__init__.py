"""The thin client of Mintonce: grpcio, protobuf and the standard library, nothing else.

    with TokenSource("billing", "https://api.example.com/") as source:
        ...  # source.header() is "Bearer …", from memory, for as long as the service runs

Integrations are imported only where they are used: mintonce.integrations.httpx, .requests, .grpc.
"""

from mintonce._wire import Rotation, TokenList, TokenSummary
from mintonce.aio import AsyncTokenClient, AsyncWatch
from mintonce.aio_source import AsyncTokenSource
from mintonce.client import TokenClient, Watch
from mintonce.errors import Closed, MintonceError, Refused, TokenExpired, Unavailable, Unreachable
from mintonce.source import TokenSource
from mintonce.token import Origin, Token

__all__ = [
    "AsyncTokenClient",
    "AsyncTokenSource",
    "AsyncWatch",
    "Closed",
    "MintonceError",
    "Origin",
    "Refused",
    "Rotation",
    "Token",
    "TokenClient",
    "TokenExpired",
    "TokenList",
    "TokenSource",
    "TokenSummary",
    "Unavailable",
    "Unreachable",
    "Watch",
]
