"""An issuer's token endpoint, and the mint of each client at it."""

import asyncio
from collections.abc import Iterable

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Foreign, IssuerError, IssuerMalformed, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Issuer
from mintonce_server.core.token import Minted
from mintonce_server.core.tracing import RequestTracer
from mintonce_server.issuer.auth import ClientAuthentication, ClientProof, authentication
from mintonce_server.issuer.discovery import RETRY, Discovery, IssuerMetadata, NoDiscovery, OnFailure, OnRead
from mintonce_server.issuer.http import HttpTransport
from mintonce_server.issuer.options import FIXED, ClientCredentials, EndpointOptions, EndpointSources
from mintonce_server.issuer.request import Parameters, mint_request, read_request
from mintonce_server.issuer.response import Answer, RequestContext, may_accept_another, read_answer
from mintonce_server.observability.http_meter import CountRequest, ignore_request

_OF_PROXIES = frozenset({407, 502, 503, 504})
"""Statuses by which a proxy says that it did not reach the issuer."""

_MOVED = frozenset({404, 405, 410, 421})
"""Statuses of a token endpoint that is no longer where its metadata said."""


class TokenEndpoint:
    """One issuer with its connections, shared by all clients of that issuer. Close it after use.

    Clients with a certificate have connections of their own: the connection is their proof.
    """

    def __init__(
        self,
        options: EndpointOptions,
        clock: Clock,
        sources: EndpointSources = FIXED,
        *,
        on_read: OnRead = lambda _: None,
        on_failure: OnFailure = lambda _: None,
        on_request: CountRequest = ignore_request,
        tracer: RequestTracer | None = None,
    ) -> None:
        """Does not connect yet. Raises ValueError for options that cannot be used.

        `on_read`, `on_failure`: see IssuerMetadata. `on_request`, `tracer`: see HttpTransport.
        """
        self._options = options
        self._clock = clock
        self._sources = sources
        self._shared = HttpTransport(options, sources, on_request=on_request, tracer=tracer)
        self._on_request = on_request
        self._tracer = tracer
        self._own: list[HttpTransport] = []
        self._on_read = on_read
        self._on_failure = on_failure
        self._discovery = self._discovery_over(self._shared)

    def for_client(self, credentials: ClientCredentials) -> Issuer:
        """The issuer for one client. Raises ValueError if `auth` is unknown, or the client lacks credentials for it."""
        transport, discovery = self._shared, self._discovery
        authenticator = authentication(self._options, credentials, self._clock)
        if credentials.certificate is not None and self._options.is_https:
            transport = HttpTransport(
                self._options, self._sources, credentials.certificate, self._on_request, self._tracer
            )
            self._own.append(transport)
            discovery = self._discovery_over(transport)  # the host may want the certificate for each request
        return _ClientIssuer(transport, discovery, self._options, credentials, authenticator, self._clock)

    def _discovery_over(self, transport: HttpTransport) -> Discovery:
        if self._options.token_url is not None:
            return NoDiscovery(self._options.token_url)
        return IssuerMetadata(transport, self._options, self._clock, self._on_read, self._on_failure)

    async def probe(self, clients: Iterable[ClientCredentials]) -> None:
        """Read the metadata, and see whether the clients fit it; or send a GET to the token endpoint.

        Any answer will do, unless it is a proxy's. Raises IssuerError.
        """
        deadline = asyncio.get_running_loop().time() + self._options.timeout
        metadata = await self._discovery.metadata(deadline)
        for credentials in clients:
            authentication(self._options, credentials, self._clock).proofs(metadata)
        if self._options.token_url is None:
            return
        answer = await self._shared.exchange(read_request(metadata.token_url), deadline)
        if answer.status in _OF_PROXIES and not self._options.is_https:
            raise IssuerUnavailable(
                f"{self._options.host} cannot be reached through the proxy (status {answer.status})",
                remedy="Check the URL of the proxy, with user and password in proxy_file, and what it allows.",
            )

    async def close(self) -> None:
        """Close the connections. Mints in progress fail."""
        for transport in (self._shared, *self._own):
            await transport.close()


class _ClientIssuer:
    def __init__(
        self,
        transport: HttpTransport,
        discovery: Discovery,
        options: EndpointOptions,
        credentials: ClientCredentials,
        authenticator: ClientAuthentication,
        clock: Clock,
    ) -> None:
        self._transport = transport
        self._discovery = discovery
        self._options = options
        self._wanted = Parameters(
            options.request,
            options.audience_parameter,
            options.audience_scope,
            credentials.default_scopes,
            credentials.extra,
            options.several_audiences,
        )
        self._has_certificate = credentials.certificate is not None
        self._authentication = authenticator
        self._clock = clock

    async def mint(self, key: TokenKey) -> Minted:
        """Mint a token. One deadline covers a second POST, too, with the other secret if the first one is refused.

        Raises IssuerError and nothing else.
        """
        try:
            return await self._mint(key)
        except IssuerError:
            self._discovery.doubt(within=RETRY)  # the endpoint, or what it takes, may have changed
            raise
        except Exception as error:  # noqa: BLE001 - translated and raised below, without its text
            failure = IssuerUnavailable(
                f"the request to {self._options.host} cannot be built ({type(error).__name__})",
                remedy="Check the client's secret, key or certificate. If they are right, report this error with the "
                "server's log.",
            )
            failure.__cause__ = Foreign.of(error)
        raise failure

    def proof(self) -> str:
        """A fingerprint of the client's credential. It changes when the credential is replaced."""
        return self._authentication.fingerprint()

    async def _mint(self, key: TokenKey) -> Minted:
        deadline = asyncio.get_running_loop().time() + self._options.timeout
        metadata = await self._discovery.metadata(deadline)
        url = metadata.certificate_token_url if self._has_certificate else metadata.token_url
        first, *other = self._authentication.proofs(metadata)
        proof, started_at, answer = await self._post(url, key, first, deadline)
        if other and may_accept_another(answer):
            proof, started_at, answer = await self._post(url, key, other[0], deadline)
        if answer.status in _MOVED:
            self._discovery.doubt()
        try:
            minted = read_answer(answer, self._context(key, proof, started_at))
        except IssuerMalformed:
            await self._transport.discard()
            raise
        self._authentication.worked(proof)
        return minted

    async def _post(
        self, url: str, key: TokenKey, proof: ClientProof, deadline: float
    ) -> tuple[ClientProof, float, Answer]:
        # First of all: the token may be as old as the start of the request.
        started_at = self._clock.monotonic()
        request = mint_request(url, key, proof, self._wanted)
        return proof, started_at, await self._transport.exchange(request, deadline)

    def _context(self, key: TokenKey, proof: ClientProof, started_at: float) -> RequestContext:
        options, hidden = self._options, self._wanted.hidden_scopes(key)
        return RequestContext(
            issuer=options.host,
            scopes=tuple(name for name in self._wanted.scopes(key) if name not in hidden),
            started_at=started_at,
            now_unix=self._clock.unix(),
            default_lifetime=options.default_lifetime,
            allow_bound_tokens=options.allow_bound_tokens,
            audiences=self._wanted.audiences(key) if key.audience else (),
            audience_check=options.audience_check,
            took=self._clock.monotonic() - started_at,
            audience_scopes=hidden,
            token_types=options.token_types,
            auth=options.auth,
            provider=options.provider,
            secrets=lambda: self._secret_texts(proof),
        )

    def _secret_texts(self, proof: ClientProof) -> tuple[str, ...]:
        return (*proof.secret_texts(), *self._authentication.secret_texts(), *self._transport.secret_texts())
