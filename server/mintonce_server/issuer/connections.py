"""POSTs over HTTP to one token endpoint. The only file that knows httpx."""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx

from mintonce_server.common.causes import Peer, cause_of
from mintonce_server.common.files import as_file
from mintonce_server.common.network import is_loopback
from mintonce_server.core.errors import Foreign, IssuerError, IssuerMalformed, IssuerUnavailable
from mintonce_server.core.turns import AT_ONCE
from mintonce_server.issuer.answer import Answer
from mintonce_server.issuer.body import BadBody, read_bounded, unpack
from mintonce_server.issuer.certificate import ClientCertificate
from mintonce_server.issuer.options import EndpointOptions
from mintonce_server.issuer.request import MintRequest

# At DEBUG these write down header values, Authorization among them; httpx writes whole URLs at INFO.
_TALKATIVE: Final = ("httpx", "httpcore", "hpack", "h2")

KEEPALIVE_EXPIRY: Final = 5.0
"""Seconds. A connection that is idle for longer is not used again, by HTTP/1.1 and HTTP/2: firewalls and load balancers
forget idle connections after 60 s at the least and then swallow what is sent, and a POST must not be sent twice."""


class NotThisMachine(Exception):
    """Plain http:// was to stay on this machine, and the name led elsewhere."""


class Connections:
    """A pool of connections; another one for each certificate and for each set of authorities.

    The old one is closed after its last request.
    """

    def __init__(
        self,
        options: EndpointOptions,
        certificate: Callable[[], ClientCertificate] | None = None,
        authorities: Callable[[], bytes] | None = None,
    ) -> None:
        """Connects to nothing yet. Raises ValueError for options or a certificate that cannot work."""
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._options = options
        self._certificate = certificate
        self._authorities = authorities
        self._material = self._current()
        self._context = self._new_context()
        self._pool = _Pool(options, self._context)

    async def exchange(self, request: MintRequest, deadline: float) -> Answer:
        """One POST and its answer, before the deadline by the event loop's clock.

        Raises IssuerUnavailable or IssuerMalformed, whatever the libraries raise: ssl.SSLError for one comes through
        httpx when TLS breaks after the handshake.
        """
        try:
            async with asyncio.timeout_at(deadline):
                return await self._post(request)
        except IssuerError:
            raise
        except Exception as error:  # noqa: BLE001 - translated and raised below
            failure = _translated(error, self._options)
        await self.discard()
        # Raised out here, because a foreign error's text may repeat bytes of the peer's or of ours:
        # as `__context__` it would follow ours into every traceback.
        raise failure

    async def _post(self, request: MintRequest) -> Answer:
        await self._renew()
        async with (
            self._pool.in_use() as http,
            http.stream(
                "POST",
                self._options.token_url,
                content=request.content,
                headers=dict(request.headers),
                extensions=self._pool.extensions,
            ) as response,
        ):
            headers = {name.lower(): text for name, text in response.headers.items()}
            try:
                # Raw, because httpx unpacks without a bound.
                packed = await read_bounded(response.aiter_raw())
                body = unpack(headers.get("content-encoding", ""), packed)
            except BadBody:
                if response.is_success:
                    raise
                body = b""  # a page for people, say: the status says enough
            return Answer(response.status_code, headers, body)

    async def _renew(self) -> None:
        """With another certificate or other authorities than before: old connections end with their requests."""
        material = self._current()
        if material == self._material:
            return
        former, self._material = self._material, material
        try:
            self._context = self._new_context()
        except ValueError as error:  # both were tried when they were loaded, so the system's own have become unreadable
            self._material = former
            raise IssuerUnavailable(str(error), remedy="Mend the file, or name another.") from error
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
        """Use no connection of now for a new request: one of them failed, or brought what was not understood.

        Over HTTP/2 the library would go on with it, and each mint would wait for its deadline.
        """
        retired, self._pool = self._pool, _Pool(self._options, self._context)
        await retired.retire()

    async def close(self) -> None:
        """Gives the connections back. Mints that are under way fail."""
        await self._pool.close()


class _Pool:
    """An httpx client that knows how many use it."""

    def __init__(self, options: EndpointOptions, context: ssl.SSLContext) -> None:
        self._http = _http_client(options, context)
        self._users = 0
        self._retired = False
        stays_here = not (options.is_https or options.allow_http)
        self.extensions: Mapping[str, Any] = {"trace": refuse_to_leave} if stays_here else {}

    @asynccontextmanager
    async def in_use(self) -> AsyncGenerator[httpx.AsyncClient]:
        self._users += 1
        try:
            yield self._http
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
            with suppress(Exception):  # what was broken may break once more
                await self.close()


async def refuse_to_leave(event: str, info: Mapping[str, Any]) -> None:
    """Hangs up, before anything is sent, on a peer that is not this machine: `localhost` is what a resolver says."""
    if event != "connection.connect_tcp.complete":
        return
    stream = info["return_value"]
    address = str(stream.get_extra_info("server_addr")[0])
    if not is_loopback(address):
        await stream.aclose()
        raise NotThisMachine


def trust(authorities: bytes | str | None) -> ssl.SSLContext:
    """Certificates must be of these authorities, or else of the well-known ones, and of the host; TLS 1.2 at least.

    `authorities`: PEM, or the path of a file.
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


def _http_client(options: EndpointOptions, context: ssl.SSLContext) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        http2=options.http2,
        verify=context,
        proxy=options.proxy,
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - httpx counts each phase anew; `exchange` sets the one deadline
        # As many as there are turns: no request waits here, where its deadline is running already.
        limits=httpx.Limits(
            max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE, keepalive_expiry=KEEPALIVE_EXPIRY
        ),
        # No cookies: clients share this pool, and a cookie given to one would travel with the others.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def issuer_peer(host: str) -> Peer:
    """The issuer, as errors call it."""
    return Peer(
        name=f"the issuer at {host}",
        setting="token_url",
        authorities="ca_file",
        own="the client's certificate_file and key_file",
        clear="http://",
        tls="https://",
    )


def _translated(error: Exception, options: EndpointOptions) -> IssuerError:
    """Ours for a foreign one. Its cause is shown without its text where that may come from the peer or the request."""
    cause: Exception = Foreign.of(error)
    if isinstance(error, BadBody):
        failure: IssuerError = IssuerMalformed(
            f"the answer of {options.host} {error}", remedy="Does token_url name the token endpoint?"
        )
    elif isinstance(error, NotThisMachine):
        failure = IssuerUnavailable(
            f"{options.host} is not this machine, and plain http:// is for this machine alone",
            remedy="See what the resolver makes of the name (/etc/hosts), or write 127.0.0.1 into token_url.",
        )
    elif isinstance(error, TimeoutError):
        cause = error
        failure = IssuerUnavailable(
            f"{options.host} did not answer within {options.timeout:g} s",
            remedy="Wait: live tokens are served meanwhile. If it lasts, see whether a firewall is in the way.",
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
            remedy="Wait: live tokens are served meanwhile. If it lasts, is token_url that of an HTTP server, with the "
            "right one of http:// and https://?"
            # In TLS 1.3 a server refuses a certificate only after the handshake, and may hang up without a word.
            + (" Does the issuer trust the client's certificate?" if options.auth == "tls_client_auth" else ""),
        )
    failure.__cause__ = cause
    return failure
