"""The two halves of the Python client behind one face: for asyncio, and for threads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import grpc

from conformance.testees.answers import Unsupported
from mintonce import AsyncTokenClient, AsyncTokenSource, Token, TokenClient, TokenSource
from mintonce.integrations.grpc import call_credentials
from mintonce.v1 import tokens_pb2, tokens_pb2_grpc

_FEATURES: Final = ["grpc:grpcio", "unix", "dns", "http_proxy", "rotate", "list", "keys:sec1", "keys:pkcs1"]


class Half(Protocol):
    """What differs. `call` awaits any of the client's calls, whichever half it is of."""

    name: ClassVar[str]
    features: ClassVar[list[str]]

    async def open(self, *key: Any, **options: Any) -> Any: ...
    def client(self, **options: Any) -> Any: ...
    async def call(self, method: Callable[..., Any], *what: Any, **how: Any) -> Any: ...
    async def close_source(self, source: Any) -> None: ...
    async def close_client(self, client: Any) -> None: ...
    async def follow(self, watch: Any, count: int, told: Callable[[Token], None]) -> None: ...
    async def http(self, source: Any, adapter: str, method: str, url: str, body: dict[str, str]) -> tuple[int, str]: ...
    async def grpc_call(self, source: Any, target: str, tls: Any, adapter: str) -> dict[str, str]: ...
    def must_cancel(self) -> None: ...


class _Both:
    async def grpc_call(self, source: Any, target: str, tls: Any, adapter: str) -> dict[str, str]:
        if adapter != "grpcio":
            raise Unsupported(adapter)
        return await asyncio.to_thread(_grpc_call, source, target, tls)


class Asyncio(_Both):
    """AsyncTokenSource and AsyncTokenClient."""

    name: ClassVar = "asyncio"
    features: ClassVar = [*_FEATURES, "cancel", "http:httpx"]

    async def open(self, *key: Any, **options: Any) -> Any:
        return await AsyncTokenSource.open(*key, **options)

    def client(self, **options: Any) -> Any:
        return AsyncTokenClient(**options)

    async def call(self, method: Callable[..., Any], *what: Any, **how: Any) -> Any:
        return await method(*what, **how)

    async def close_source(self, source: Any) -> None:
        await source.aclose()

    async def close_client(self, client: Any) -> None:
        await client.close()

    async def follow(self, watch: Any, count: int, told: Callable[[Token], None]) -> None:
        async with watch:
            seen = 0
            async for token in watch:
                told(token)
                seen += 1
                if seen == count:
                    return

    async def http(self, source: Any, adapter: str, method: str, url: str, body: dict[str, str]) -> tuple[int, str]:
        from conformance.testees import http_adapters  # here, because its imports take a third of a start

        if adapter != "httpx":
            raise Unsupported(adapter)
        content: Any = _slowly(body["stream"]) if "stream" in body else body.get("text")
        return await http_adapters.by_httpx_async(source, method, url, content)

    def must_cancel(self) -> None:
        """It can."""


class Threads(_Both):
    """TokenSource and TokenClient, each call in a thread."""

    name: ClassVar = "threads"
    features: ClassVar = [*_FEATURES, "http:httpx", "http:requests"]

    async def open(self, *key: Any, **options: Any) -> Any:
        return await asyncio.to_thread(TokenSource, *key, **options)

    def client(self, **options: Any) -> Any:
        return TokenClient(**options)

    async def call(self, method: Callable[..., Any], *what: Any, **how: Any) -> Any:
        return await asyncio.to_thread(method, *what, **how)

    async def close_source(self, source: Any) -> None:
        await asyncio.to_thread(source.close)

    async def close_client(self, client: Any) -> None:
        await asyncio.to_thread(client.close)

    async def follow(self, watch: Any, count: int, told: Callable[[Token], None]) -> None:
        await asyncio.to_thread(_follow, watch, count, told)

    async def http(self, source: Any, adapter: str, method: str, url: str, body: dict[str, str]) -> tuple[int, str]:
        from conformance.testees import http_adapters  # as above

        content: Any = iter([body["stream"].encode()]) if "stream" in body else body.get("text")
        calls = {"httpx": http_adapters.by_httpx, "requests": http_adapters.by_requests}
        if adapter not in calls:
            raise Unsupported(adapter)
        return await asyncio.to_thread(calls[adapter], source, method, url, content)

    def must_cancel(self) -> None:
        raise Unsupported("a thread cannot be cancelled")


def _grpc_call(source: Any, target: str, tls: Any, call: Any = None) -> dict[str, str]:
    if tls is not None:
        roots = Path(tls["ca_file"]).read_bytes() if tls.get("ca_file") else None
        transport = grpc.ssl_channel_credentials(roots)
    else:
        transport = grpc.local_channel_credentials()
    options = [("grpc.ssl_target_name_override", tls["server_name"])] if tls and tls.get("server_name") else []
    credentials = grpc.composite_channel_credentials(transport, call or call_credentials(source))
    with grpc.secure_channel(target, credentials, options=options) as channel:
        try:
            tokens_pb2_grpc.TokenServiceStub(channel).GetToken(tokens_pb2.GetTokenRequest(), timeout=5.0)
        except grpc.RpcError as error:
            return {"code": error.code().name}
        return {"code": "OK"}


def _follow(watch: Any, count: int, told: Callable[[Token], None]) -> None:
    with watch as tokens:
        for number, token in enumerate(tokens, start=1):
            told(token)
            if number == count:
                return


async def _slowly(text: str) -> AsyncIterator[bytes]:
    yield text.encode()
