"""Requests over HTTP to one issuer. The only file of the package that uses httpx."""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from mintonce_server.common.bounded_body import BadBody, decompress, read_bounded
from mintonce_server.common.network import is_loopback
from mintonce_server.common.trust import trust
from mintonce_server.core.errors import IssuerError, IssuerUnavailable
from mintonce_server.core.secret import Secret
from mintonce_server.core.tracing import RequestTracer
from mintonce_server.core.turns import AT_ONCE
from mintonce_server.issuer.certificate import ClientCertificate
from mintonce_server.issuer.connection_errors import NotThisMachine, SeenByProxy, translated
from mintonce_server.issuer.options import FIXED, EndpointOptions, EndpointSources
from mintonce_server.issuer.request import HttpRequest
from mintonce_server.issuer.response import Answer, request_id
from mintonce_server.observability.http_meter import CountRequest, ignore_request

# At DEBUG they log header values, Authorization among them; httpx logs whole URLs at INFO.
_LOGGERS: Final = ("httpx", "httpcore", "hpack", "h2")

MAX_BODY: Final = 64 * 1024
"""Bytes of a body, compressed and decompressed. The largest accepted token response is far smaller."""

KEEPALIVE_EXPIRY: Final = 5.0
"""Seconds. Connections that are idle for longer are not reused, with HTTP/1.1 and HTTP/2: firewalls and load balancers
drop idle connections after 60 s or more and then discard what is sent, and a POST must not be sent twice."""


STALE_WITHIN: Final = 0.3
"""Seconds: a round trip to another continent. A kept connection that breaks later was not stale: the issuer may have
worked on the request."""

POOLS_MAX: Final = 2
"""Connections to the same issuer, with a proxy and without one."""


class HttpTransport:
    """Connection pools for one issuer. A new certificate, set of CAs or proxy gets a new pool.

    The old pool is closed after its last request.
    """

    def __init__(
        self,
        options: EndpointOptions,
        sources: EndpointSources = FIXED,
        certificate: Callable[[], ClientCertificate] | None = None,
        on_request: CountRequest = ignore_request,
        tracer: RequestTracer | None = None,
    ) -> None:
        """Does not connect yet. `on_request`: called after each request that was sent, or could not be.
        Raises ValueError for options or a certificate that cannot be used."""
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._options = options
        self._sources = sources
        self._certificate = certificate
        self._on_request = on_request
        self._tracer = tracer
        self._material = self._current()
        self._context = self._new_context()
        self._pools: dict[str | None, _Pool] = {}

    async def exchange(self, request: HttpRequest, deadline: float) -> Answer:
        """Send one request and read its answer before the deadline, a time of the event loop's clock.

        A request on a connection that the server had just closed is sent once more, on a new connection.

        Raises IssuerUnavailable or IssuerMalformed, whatever the libraries raise: httpx, for example, lets
        ssl.SSLError through when TLS fails after the handshake.
        """
        proxy: Secret | None = None
        try:
            async with asyncio.timeout_at(deadline):
                proxy = self._proxy_for(request.url)
                try:
                    return await self._traced(request, proxy)
                except StaleConnection:
                    await self.discard()
                    return await self._traced(request, proxy)
        except IssuerError:
            raise
        except Exception as error:  # noqa: BLE001 - translated and raised below
            failure = translated(error, self._options, proxy)
        await self.discard()
        # Raised outside of the handler: a library's error text may repeat bytes of the request or of the answer,
        # and as `__context__` it would appear in every traceback of ours.
        raise failure

    def _proxy_for(self, url: str) -> Secret | None:
        proxy = self._sources.proxy(url)
        if proxy is not None and is_plain_http(url) and not self._options.allow_http:
            raise SeenByProxy  # plain http:// to this machine is safe only because nothing leaves it
        return proxy

    async def _traced(self, request: HttpRequest, proxy: Secret | None) -> Answer:
        if self._tracer is None:
            return await self._measured(request, proxy)
        with self._tracer.request(request.method, request.url) as span:
            if headers := span.headers():
                request = replace(request, headers={**request.headers, **headers})
            answer = await self._measured(request, proxy)
            span.answered(answer.status, request_id(answer.headers))
            return answer

    async def _measured(self, request: HttpRequest, proxy: Secret | None) -> Answer:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            answer = await self._send(request, proxy)
        except asyncio.CancelledError:  # by the deadline, as a rule
            self._on_request(request.method, request.url, None, loop.time() - began, TimeoutError())
            raise
        except Exception as error:
            self._on_request(request.method, request.url, None, loop.time() - began, error)
            raise
        self._on_request(request.method, request.url, answer.status, loop.time() - began, None)
        return answer

    async def _send(self, request: HttpRequest, proxy: Secret | None) -> Answer:
        await self._renew()
        pool = await self._pool(proxy.reveal() if proxy is not None else None)
        own = {name: text.reveal() for name, text in self._sources.headers().items()}
        async with pool.response(request, own) as response:
            headers = {name.lower(): text for name, text in response.headers.items()}
            try:
                # Raw, because httpx decompresses without a limit.
                raw = await read_bounded(response.aiter_raw(), MAX_BODY)
                body = decompress(headers.get("content-encoding", ""), raw, MAX_BODY)
            except BadBody:
                if response.is_success:
                    raise
                body = b""  # an HTML page, for example: the status is enough
            return Answer(response.status_code, headers, body)

    async def _renew(self) -> None:
        """If the certificate or the CAs have changed, use new connections. Old ones are closed after their requests."""
        material = self._current()
        if material == self._material:
            return
        previous, self._material = self._material, material
        try:
            self._context = self._new_context()
        except ValueError as error:  # both were checked when they were loaded: the system's CAs are unreadable now
            self._material = previous
            raise IssuerUnavailable(str(error), remedy="Correct the file, or name another one.") from error
        await self.discard()

    async def _pool(self, proxy: str | None) -> "_Pool":
        if (pool := self._pools.get(proxy)) is None:
            while len(self._pools) >= POOLS_MAX:  # a proxy that is replaced again and again
                await self._pools.pop(next(iter(self._pools))).retire()
            context = self._trusting() if proxy is not None and proxy.startswith("https://") else None
            pool = self._pools[proxy] = _Pool(self._options, self._context, proxy, context)
        return pool

    def _current(self) -> tuple[ClientCertificate | None, bytes | None]:
        authorities = self._sources.authorities
        return (self._certificate() if self._certificate else None, authorities() if authorities else None)

    def _new_context(self) -> ssl.SSLContext:
        certificate, context = self._material[0], self._trusting()
        if certificate is not None:
            certificate.load_into(context)
        return context

    def _trusting(self) -> ssl.SSLContext:
        return trust(self._material[1] or self._options.ca_file, with_system=self._options.system_authorities)

    def secret_texts(self) -> Iterator[str]:
        """What of each request is secret besides the client's own proof."""
        for text in self._sources.headers().values():
            yield text.reveal()

    async def discard(self) -> None:
        """Use no current connection for a new request. Called when one failed or returned a malformed answer.

        Over HTTP/2 the library would keep using it, and each mint would wait for its deadline.
        """
        retired, self._pools = self._pools, {}
        for pool in retired.values():
            await pool.retire()

    async def close(self) -> None:
        """Close the connections. Mints in progress fail."""
        for pool in self._pools.values():
            await pool.close()


class StaleConnection(Exception):
    """A kept connection was closed as the request went out: no answer began."""


class _Pool:
    """Connections that count their users.

    httpx's transport without its client: no cookies, which the clients that share it would send for each other, no
    redirects, no variables of the environment, and half the CPU time.
    """

    def __init__(
        self,
        options: EndpointOptions,
        context: ssl.SSLContext,
        proxy: str | None,
        proxy_context: ssl.SSLContext | None,
    ) -> None:
        """`proxy_context`: for the connection to a proxy with TLS; without the client's certificate."""
        self._http = _http_transport(options, context, proxy, proxy_context)
        self._allow_http = options.allow_http
        self._users = 0
        self._retired = False
        self._received = 0
        """Bytes, of all connections."""

    def _count(self, received: int) -> None:
        self._received += received

    @asynccontextmanager
    async def response(self, request: HttpRequest, own_headers: Mapping[str, str]) -> AsyncGenerator[httpx.Response]:
        """Sends the request. The body is read by the caller. Raises StaleConnection, and what httpx raises."""
        trace = _Trace(self._count, stays_here=is_plain_http(request.url) and not self._allow_http)
        message = httpx.Request(
            request.method,
            _parsed(request.url),
            headers={**own_headers, **request.headers},
            content=request.content,
            extensions={"trace": trace},
        )
        self._users += 1
        try:
            async with aclosing(await self._answer(message, trace)) as response:
                yield response
        finally:
            self._users -= 1
            await self._close_if_done()

    async def _answer(self, message: httpx.Request, trace: "_Trace") -> httpx.Response:
        began, received = asyncio.get_running_loop().time(), self._received
        try:
            return await self._http.handle_async_request(message)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            lasted = asyncio.get_running_loop().time() - began
            # Bytes of another connection count, too: then a request that could have been sent again is not.
            if trace.is_new_connection or lasted > STALE_WITHIN or self._received != received:
                raise
        raise StaleConnection  # outside of the handler, for the same reason as in `exchange`

    async def retire(self) -> None:
        self._retired = True
        await self._close_if_done()

    async def close(self) -> None:
        await self._http.aclose()

    async def _close_if_done(self) -> None:
        if self._retired and not self._users:
            with suppress(Exception):  # a broken connection may fail again when it is closed
                await self.close()


class _Trace:
    """What happens to one request's connection, as httpcore tells it.

    Attributes:
        is_new_connection: it was opened for this request.
    """

    def __init__(self, count: Callable[[int], None], *, stays_here: bool) -> None:
        """`count`: called with the bytes of each read of the connection, as long as it lives.

        `stays_here`: disconnect, before anything is sent, from a peer that is not this machine.
        """
        self._count = count
        self._stays_here = stays_here
        self.is_new_connection = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        # What stands before differs: "connection", or "socks" for a SOCKS proxy.
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self.is_new_connection = True
            self._watch(info["return_value"])
            if self._stays_here:
                await require_loopback(info["return_value"])

    def _watch(self, stream: Any) -> None:
        read, count = stream.read, self._count

        async def counted(*arguments: Any, **options: Any) -> bytes:
            data: bytes = await read(*arguments, **options)
            count(len(data))
            return data

        stream.read = counted


async def require_loopback(stream: Any) -> None:
    """Raises NotThisMachine for a connection to another one: a resolver decides on `localhost`."""
    address = str(stream.get_extra_info("server_addr")[0])
    if not is_loopback(address):
        await stream.aclose()
        raise NotThisMachine


@lru_cache(maxsize=256)
def _parsed(url: str) -> httpx.URL:
    """Parsing costs more than all else that is done to make a request."""
    return httpx.URL(url)


def is_plain_http(url: str) -> bool:
    """Whether what is sent there can be read on the way. Schemes have no case."""
    return urlsplit(url).scheme == "http"


def _http_transport(
    options: EndpointOptions, context: ssl.SSLContext, proxy: str | None, proxy_context: ssl.SSLContext | None
) -> httpx.AsyncHTTPTransport:
    # No timeouts: httpx would limit each phase separately; `exchange` sets one deadline.
    return httpx.AsyncHTTPTransport(
        http2=options.http2,
        verify=context,
        # The context is for https:// proxies: the same authorities as for the issuer, and not what httpx would trust.
        proxy=httpx.Proxy(proxy, ssl_context=proxy_context) if proxy is not None else None,
        trust_env=False,
        # As many as there are concurrent mints: no request waits for a connection while its deadline runs.
        limits=httpx.Limits(
            max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE, keepalive_expiry=KEEPALIVE_EXPIRY
        ),
    )
