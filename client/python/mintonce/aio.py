"""The calls of mintonced, for asyncio. `make gen` makes client.py from this file."""

# ruff: noqa: ASYNC109 - a `timeout` is the deadline of the gRPC call, and must mean the same in both halves

# --- async
import asyncio

# --- both
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import Literal, Protocol, Self

import grpc

from mintonce import _asyncio as _io
from mintonce import _channel, _wire
from mintonce._connection import Connection, Dial, way
from mintonce._wire import Rotation, TokenPage
from mintonce.credentials import Bearer, Tls
from mintonce.errors import MintonceError, closed
from mintonce.token import Token
from mintonce.v1 import admin_pb2_grpc, tokens_pb2, tokens_pb2_grpc


class _Line:
    """A channel and the stubs on it. What lets go of the last reference closes the channel."""

    def __init__(self, channel: _io.Channel) -> None:
        self.channel = channel
        self.tokens = tokens_pb2_grpc.TokenServiceStub(channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(channel)


def _dialler(given: _io.Channel | None) -> Dial[_Line]:
    def dial(target: str, credentials: grpc.ChannelCredentials | None, options: _channel.Options) -> _Line:
        return _Line(given or _io.open_channel(target, credentials, options))

    return dial


class AsyncTokenClient:
    """A channel to mintonced. Make it in a running event loop and keep it. Use it in an `async with`, or close it.

    To send one token again and again, use an `AsyncTokenSource`: it reads memory where `get` makes a call.

    Args:
        target: host:port, unix:PATH or another gRPC name. Default: the environment's MINTONCE_TARGET, or
            127.0.0.1:50051.
        channel: instead of a target; it stays the caller's to close.
        tls: how to speak TLS: a `Tls`, True for this host's authorities, False for a connection in clear. None: as the
            environment says, by MINTONCE_CA_FILE, _CERTIFICATE_FILE, _KEY_FILE, _SERVER_NAME and _TLS; else in clear.
        bearer: a `BearerFile` or an `ApiKeyFile`; False for none. None: as MINTONCE_BEARER_FILE or
            MINTONCE_API_KEY_FILE says, else none. Refused in clear, unless to a Unix socket or loopback.
        credentials: gRPC's own, instead of `tls`.
        timeout: seconds that a call may take, retries included. None is not possible: every wait has an end.
        wait_for_ready: whether a call waits, up to its timeout, for a server that is not there. By default it does not:
            a wrong address shows at once, and a few retries within a second cover a replica that goes away.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        channel: _io.Channel | None = None,
        tls: Tls | bool | None = None,
        bearer: Bearer | Literal[False] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float = _channel.DEFAULT_TIMEOUT,
        wait_for_ready: bool = False,
    ) -> None:
        chosen = way(target, channel, credentials, tls, bearer)
        self._home = _io.Home("client")
        self._connection = Connection(chosen, _dialler(channel))
        # --- sync
        # _io.forking.remember_connection(self._connection)
        # --- both
        self._owns_channel = channel is None
        self.target = chosen.target
        self.timeout = timeout
        self._wait_for_ready = wait_for_ready
        self._closed = False

    async def get(
        self,
        client: str,
        audience: str = "",
        scopes: Iterable[str] = (),
        *,
        min_ttl: float | timedelta | None = None,
        timeout: float | None = None,
    ) -> Token:
        """The live token of a key, minted if there is none. Raises MintonceError.

        `min_ttl`: the lifetime in seconds that it should have left.
        """
        request = _wire.get_request(client, audience, scopes, min_ttl)
        sent_at = monotonic()
        with self._translated():
            line = self._connection.line()
            response = await line.tokens.GetToken(
                request,
                timeout=timeout or self.timeout,
                metadata=self._connection.metadata(),
                wait_for_ready=self._wait_for_ready,
            )
        return _wire.token_of(response.token, sent_at)

    def watch(
        self, client: str, audience: str = "", scopes: Iterable[str] = (), *, timeout: float | None = None
    ) -> "AsyncWatch":
        """The live token, then each successor as it is committed. Use it in an `async with`, or cancel it.

        Ends with MintonceError when the server drains or is lost, and after `timeout` seconds if given. Sources go on.
        """
        self._must_be_open()
        line = self._connection.line()
        call = line.tokens.WatchToken(
            # No wait for a server: a watcher wants to know that there is none.
            _wire.watch_request(client, audience, scopes),
            timeout=timeout,
            metadata=self._connection.metadata(),
        )
        return AsyncWatch(call, self._failure, line)

    async def reject(
        self,
        client: str,
        audience: str = "",
        scopes: Iterable[str] = (),
        *,
        generation: int | None = None,
        token: Token | None = None,
        fingerprint: bytes | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Report that a resource server refused a token: by the token, its generation, or the SHA-256 of its text.

        True: it was the current token and is not served any more. False: it had been replaced before.
        """
        generation = token.generation if token is not None else generation
        request = _wire.reject_request(client, audience, scopes, generation, fingerprint)
        with self._translated():
            line = self._connection.line()
            response = await line.tokens.RejectToken(
                request,
                timeout=timeout or self.timeout,
                metadata=self._connection.metadata(),
                wait_for_ready=self._wait_for_ready,
            )
        return response.was_current

    async def list_tokens(
        self, client: str = "", *, page_size: int = 0, page_token: str = "", timeout: float | None = None
    ) -> TokenPage:
        """A page of the live tokens, never their text: of one client, or of all.

        Args:
            page_size: at most so many; 0 for 1000, which is also the maximum. A page may have fewer.
            page_token: the `next_page_token` of the page before; "" for the first page.
        """
        request = _wire.list_request(client, page_size, page_token)
        with self._translated():
            line = self._connection.line()
            response = await line.admin.ListTokens(
                request,
                timeout=timeout or self.timeout,
                metadata=self._connection.metadata(),
                wait_for_ready=self._wait_for_ready,
            )
        return _wire.page_of(response)

    async def list_pages(
        self, client: str = "", *, page_size: int = 0, timeout: float | None = None
    ) -> AsyncIterator[TokenPage]:
        """All pages of `list_tokens`. `timeout`: for each page."""
        page = TokenPage((), "")
        while True:
            page = await self.list_tokens(client, page_size=page_size, page_token=page.next_page_token, timeout=timeout)
            yield page
            if not page.next_page_token:
                return

    async def rotate(
        self, client: str, audience: str = "", scopes: Iterable[str] = (), *, timeout: float | None = None
    ) -> Rotation:
        """Mint the successor of a key's token now. The old one is served until then."""
        request = _wire.rotate_request(client, audience, scopes)
        with self._translated():
            line = self._connection.line()
            response = await line.admin.RotateToken(
                request,
                timeout=timeout or self.timeout,
                metadata=self._connection.metadata(),
                wait_for_ready=self._wait_for_ready,
            )
        return _wire.rotation_of(response)

    async def close(self) -> None:
        """Cancels what is under way. A given channel stays open."""
        self._closed = True
        if self._owns_channel and not self._home.is_gone:
            for line in self._connection.lines():
                await line.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    def _must_be_open(self) -> None:
        if self._closed:
            raise closed("client")
        self._home.enter()

    @contextmanager
    def _translated(self) -> Generator[None]:
        self._must_be_open()
        try:
            yield
        except grpc.RpcError as error:
            raise self._failure(error) from None  # a traceback would print the peer's text as it came
        except _io.CHANNEL_CLOSED as error:
            if self._closed and not _io.is_being_cancelled():
                raise closed("client") from error
            raise

    def _failure(self, error: grpc.RpcError) -> MintonceError:
        """What a failed call means. Only a closed client cancels its calls; else it was the peer."""
        if self._closed and error.code() is grpc.StatusCode.CANCELLED:
            return closed("client")
        return self._connection.translate(error)


class _Call(Protocol):
    """The part of a gRPC call that a watch needs."""

    def __aiter__(self) -> AsyncIterator[tokens_pb2.WatchTokenResponse]: ...
    def cancel(self) -> bool: ...


class AsyncWatch(AsyncIterator[Token]):
    """A key's tokens as they come. `cancel()` ends it; so does leaving its `async with`."""

    def __init__(self, call: _Call, translate: Callable[[grpc.RpcError], MintonceError], line: object) -> None:
        self._call = call
        self._responses = call.__aiter__()
        self._translate = translate
        self._line: object = line  # the channel stays open as long as there is a reference to it
        self._sent_at: float | None = monotonic()
        self._cancelled = False

    async def __anext__(self) -> Token:
        try:
            response = await self._responses.__anext__()
        except grpc.RpcError as error:
            self._line = None
            # The error is the call itself: with its traceback it would live until the garbage collector comes. When
            # that is at Python's exit, gRPC waits for a lock that a thread held which is no more.
            error.__traceback__ = None
            if self._cancelled:
                raise StopAsyncIteration from None
            raise self._translate(error) from None
        # --- async
        except asyncio.CancelledError as error:
            # grpc.aio raises it both when the call was cancelled, which is its end, and when this task was.
            if self._cancelled and not _io.is_being_cancelled():
                raise StopAsyncIteration from error
            raise
        # --- both
        # The first answers the call; what is pushed later was on its way for a part of a round trip.
        anchor, self._sent_at = self._sent_at or monotonic(), None
        return _wire.token_of(response.token, anchor)

    def cancel(self) -> None:
        self._cancelled = True
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.cancel()
