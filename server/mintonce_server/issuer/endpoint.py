"""An issuer's token endpoint, and the mint of each client at it."""

import asyncio
from collections.abc import Callable

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Foreign, IssuerError, IssuerMalformed, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Issuer
from mintonce_server.core.token import Minted
from mintonce_server.issuer.auth import ClientAuthentication, ClientProof, authentication
from mintonce_server.issuer.http import HttpTransport
from mintonce_server.issuer.options import ClientCredentials, EndpointOptions
from mintonce_server.issuer.request import build_request
from mintonce_server.issuer.response import Answer, RequestContext, read_answer, was_not_authenticated


class TokenEndpoint:
    """One issuer with its connection pool, shared by all clients of that issuer. Close it after use.

    Clients that authenticate by a certificate have pools of their own: the connection is their proof.
    """

    def __init__(self, options: EndpointOptions, clock: Clock, authorities: Callable[[], bytes] | None = None) -> None:
        """Does not connect yet. Raises ValueError for options that cannot be used.

        `authorities`: returns the current content of `options.ca_file`, if that may change; called at each mint.
        """
        self._options = options
        self._clock = clock
        self._authorities = authorities
        self._shared = HttpTransport(options, authorities=authorities)
        self._own: list[HttpTransport] = []

    def for_client(self, credentials: ClientCredentials) -> Issuer:
        """The issuer for one client. Raises ValueError if `auth` is unknown, or the client lacks credentials for it."""
        transport = self._shared
        authenticator = authentication(self._options, credentials, self._clock)
        if self._options.auth == "tls_client_auth":
            transport = HttpTransport(self._options, credentials.certificate, self._authorities)
            self._own.append(transport)
        return _ClientIssuer(transport, self._options, credentials, authenticator, self._clock)

    async def close(self) -> None:
        """Close the connections. Mints in progress fail."""
        for transport in (self._shared, *self._own):
            await transport.close()


class _ClientIssuer:
    def __init__(
        self,
        transport: HttpTransport,
        options: EndpointOptions,
        credentials: ClientCredentials,
        authenticator: ClientAuthentication,
        clock: Clock,
    ) -> None:
        self._transport = transport
        self._options = options
        self._extra = credentials.extra
        self._authentication = authenticator
        self._clock = clock

    async def mint(self, key: TokenKey) -> Minted:
        """Mint a token. One deadline covers a second POST, too, with the other secret if the first one is refused.

        Raises IssuerError and nothing else.
        """
        try:
            return await self._mint(key)
        except IssuerError:
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
        first, *other = self._authentication.proofs()
        proof, started_at, answer = await self._post(key, first, deadline)
        if other and was_not_authenticated(answer):
            proof, started_at, answer = await self._post(key, other[0], deadline)
        try:
            minted = read_answer(answer, self._asked(key, started_at))
        except IssuerMalformed:
            await self._transport.discard()
            raise
        self._authentication.worked(proof)
        return minted

    async def _post(self, key: TokenKey, proof: ClientProof, deadline: float) -> tuple[ClientProof, float, Answer]:
        # First of all: the token may be as old as the start of the request.
        started_at = self._clock.monotonic()
        request = build_request(
            self._options.request,
            key,
            proof,
            extra=self._extra,
            audience_parameter=self._options.audience_parameter,
        )
        return proof, started_at, await self._transport.exchange(request, deadline)

    def _asked(self, key: TokenKey, started_at: float) -> RequestContext:
        return RequestContext(
            issuer=self._options.host,
            scopes=key.scopes,
            started_at=started_at,
            now_unix=self._clock.unix(),
            default_lifetime=self._options.default_lifetime,
            allow_bound_tokens=self._options.allow_bound_tokens,
            audience=key.audience,
            audience_check=self._options.audience_check,
            took=self._clock.monotonic() - started_at,
        )
