"""POSTs over HTTP to one token endpoint. The only file of the package that uses httpx."""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final

import httpx

from mintonce_server.common.bounded_body import BadBody, decompress, read_bounded
from mintonce_server.common.causes import Peer, cause_of
from mintonce_server.common.files import as_file
from mintonce_server.common.network import is_loopback
from mintonce_server.core.errors import Foreign, IssuerError, IssuerMalformed, IssuerUnavailable
from mintonce_server.core.turns import AT_ONCE
from mintonce_server.issuer.certificate import ClientCertificate
from mintonce_server.issuer.options import EndpointOptions
from mintonce_server.issuer.request import MintRequest
from mintonce_server.issuer.response import Answer

# At DEBUG they log header values, Authorization among them; httpx logs whole URLs at INFO.
_LOGGERS: Final = ("httpx", "httpcore", "hpack", "h2")

MAX_BODY: Final = 64 * 1024
"""Bytes of a body, compressed and decompressed. The largest accepted token response is far smaller."""

KEEPALIVE_EXPIRY: Final = 5.0
"""Seconds. Connections that are idle for longer are not reused, with HTTP/1.1 and HTTP/2: firewalls and load balancers
drop idle connections after 60 s or more and then discard what is sent, and a POST must not be sent twice."""


class NotThisMachine(Exception):
    """The host of a plain http:// URL that must be this machine resolved to another one."""


class HttpTransport:
    """A connection pool for one endpoint. A new certificate or a new set of CAs gets a new pool.

    The old pool is closed after its last request.
    """

    def __init__(
        self,
        options: EndpointOptions,
        certificate: Callable[[], ClientCertificate] | None = None,
        authorities: Callable[[], bytes] | None = None,
    ) -> None:
        """Does not connect yet. Raises ValueError for options or a certificate that cannot be used."""
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._options = options
        self._certificate = certificate
        self._authorities = authorities
        self._material = self._current()
        self._context = self._new_context()
        self._pool = _Pool(options, self._context)

    async def exchange(self, request: MintRequest, deadline: float) -> Answer:
        """Send one POST and read its answer before the deadline, a time of the event loop's clock.

        Raises IssuerUnavailable or IssuerMalformed, whatever the libraries raise: httpx, for example, lets
        ssl.SSLError through when TLS fails after the handshake.
        """
        try:
            async with asyncio.timeout_at(deadline):
                return await self._post(request)
        except IssuerError:
            raise
        except Exception as error:  # noqa: BLE001 - translated and raised below
            failure = _translated(error, self._options)
        await self.discard()
        # Raised outside of the handler: a library's error text may repeat bytes of the request or of the answer,
        # and as `__context__` it would appear in every traceback of ours.
        raise failure

    async def _post(self, request: MintRequest) -> Answer:
        await self._renew()
        async with self._pool.response(request) as response:
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

    def _current(self) -> tuple[ClientCertificate | None, bytes | None]:
        return (
            self._certificate() if self._certificate else None,
            self._authorities() if self._authorities else None,
        )

    def _new_context(self) -> ssl.SSLContext:
        certificate, authorities = self._material
        context = trust(authorities or self._options.ca_file)
        if certificate is not None:
            certificate.load_into(context)
        return context

    async def discard(self) -> None:
        """Use no current connection for a new request. Called when one failed or returned a malformed answer.

        Over HTTP/2 the library would keep using it, and each mint would wait for its deadline.
        """
        retired, self._pool = self._pool, _Pool(self._options, self._context)
        await retired.retire()

    async def close(self) -> None:
        """Close the connections. Mints in progress fail."""
        await self._pool.close()


class _Pool:
    """Connections that count their users.

    httpx's transport without its client: no cookies, which the clients that share it would send for each other, no
    redirects, no variables of the environment, and half the CPU time.
    """

    def __init__(self, options: EndpointOptions, context: ssl.SSLContext) -> None:
        self._http = _http_transport(options, context)
        self._url = httpx.URL(options.token_url)
        self._users = 0
        self._retired = False
        stays_here = not (options.is_https or options.allow_http)
        self._extensions: dict[str, Any] = {"trace": require_loopback} if stays_here else {}

    @asynccontextmanager
    async def response(self, request: MintRequest) -> AsyncGenerator[httpx.Response]:
        """Sends the POST. The body is read by the caller."""
        post = httpx.Request(
            "POST", self._url, headers=dict(request.headers), content=request.content, extensions=self._extensions
        )
        self._users += 1
        try:
            async with aclosing(await self._http.handle_async_request(post)) as response:
                yield response
        finally:
            self._users -= 1
            await self._close_if_done()

    async def retire(self) -> None:
        self._retired = True
        await self._close_if_done()

    async def close(self) -> None:
        await self._http.aclose()

    async def _close_if_done(self) -> None:
        if self._retired and not self._users:
            with suppress(Exception):  # a broken connection may fail again when it is closed
                await self.close()


async def require_loopback(event: str, info: Mapping[str, Any]) -> None:
    """Disconnects, before anything is sent, from a peer that is not this machine: a resolver decides on `localhost`."""
    if event != "connection.connect_tcp.complete":
        return
    stream = info["return_value"]
    address = str(stream.get_extra_info("server_addr")[0])
    if not is_loopback(address):
        await stream.aclose()
        raise NotThisMachine


def trust(authorities: bytes | str | None) -> ssl.SSLContext:
    """A context that requires TLS 1.2 and a certificate for the host, signed by these CAs or by the well-known ones.

    `authorities`: PEM, or the path of a PEM file.
    """
    try:
        if isinstance(authorities, bytes):
            with as_file(authorities) as path:
                context = ssl.create_default_context(cafile=path)
        elif authorities is not None:
            context = ssl.create_default_context(cafile=authorities)
        else:
            context = httpx.create_ssl_context(trust_env=False)  # trust_env: SSL_CERT_FILE would replace them
    except (OSError, ssl.SSLError) as error:
        what = f"ca_file '{authorities}'" if isinstance(authorities, str) else "ca_file"
        raise ValueError(f"{what} cannot be read as PEM certificates") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _http_transport(options: EndpointOptions, context: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
    # No timeouts: httpx would limit each phase separately; `exchange` sets one deadline.
    return httpx.AsyncHTTPTransport(
        http2=options.http2,
        verify=context,
        proxy=options.proxy,
        trust_env=False,
        # As many as there are concurrent mints: no request waits for a connection while its deadline runs.
        limits=httpx.Limits(
            max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE, keepalive_expiry=KEEPALIVE_EXPIRY
        ),
    )


def issuer_peer(host: str) -> Peer:
    """The issuer, as error messages name it."""
    return Peer(
        name=f"the issuer at {host}",
        setting="token_url",
        authorities="ca_file",
        own="the client's certificate_file and key_file",
        clear="http://",
        tls="https://",
    )


def _translated(error: Exception, options: EndpointOptions) -> IssuerError:
    """Our error for a library's. The cause's text is left out where it may come from the peer or the request."""
    cause: Exception = Foreign.of(error)
    if isinstance(error, BadBody):
        failure: IssuerError = IssuerMalformed(
            f"the answer of {options.host} {error}", remedy="Check that token_url names the token endpoint."
        )
    elif isinstance(error, NotThisMachine):
        failure = IssuerUnavailable(
            f"{options.host} is not this machine, and plain http:// is only allowed to this machine",
            remedy="Check how the name resolves (/etc/hosts), or use 127.0.0.1 in token_url.",
        )
    elif isinstance(error, TimeoutError):
        cause = error
        failure = IssuerUnavailable(
            f"{options.host} did not answer within {options.timeout:g} s",
            remedy="Wait: live tokens are served meanwhile. If it lasts, check for a firewall in between.",
        )
    elif (found := cause_of(error, issuer_peer(options.host))) is not None:
        cause = error if isinstance(error, httpx.ConnectError) else cause
        failure = IssuerUnavailable(found.what, remedy=found.remedy)
    elif isinstance(error, httpx.ConnectError):
        cause = error
        failure = IssuerUnavailable(
            f"no connection to {options.host}", remedy="Check the host name in token_url, DNS, firewall and proxy."
        )
    else:
        failure = IssuerUnavailable(
            f"the connection to {options.host} broke ({type(error).__name__})",
            remedy="Wait: live tokens are served meanwhile. If it lasts, check that token_url names an HTTP server, "
            "with http:// or https:// as that server expects."
            # In TLS 1.3 a server rejects a certificate only after the handshake, and may disconnect without an alert.
            + (" Check that the issuer trusts the client's certificate." if options.auth == "tls_client_auth" else ""),
        )
    failure.__cause__ = cause
    return failure
