"""An issuer's token endpoint, and each client's way to mint there."""

import asyncio
from collections.abc import Callable

from mintonce_server.core.errors import Foreign, IssuerError, IssuerMalformed, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Clock, Issuer
from mintonce_server.core.token import Minted
from mintonce_server.issuer.answer import Answer, Asked, read_answer, was_not_authenticated
from mintonce_server.issuer.authentication import ClientAuthentication, Proof, authentication
from mintonce_server.issuer.connections import Connections
from mintonce_server.issuer.options import ClientCredentials, EndpointOptions
from mintonce_server.issuer.request import build_request


class TokenEndpoint:
    """One issuer with its pool of connections; shared by all clients of that issuer. Close it when they are done.

    Only clients that prove themselves by a certificate have pools of their own: the connection is their proof.
    """

    def __init__(self, options: EndpointOptions, clock: Clock, authorities: Callable[[], bytes] | None = None) -> None:
        """Connects to nothing yet. Raises ValueError for options that cannot work.

        `authorities`: what `options.ca_file` holds now, where it may change; asked at each mint.
        """
        self._options = options
        self._clock = clock
        self._authorities = authorities
        self._shared = Connections(options, authorities=authorities)
        self._own: list[Connections] = []

    def for_client(self, credentials: ClientCredentials) -> Issuer:
        """The issuer as one client talks to it. Raises ValueError: `auth` is unknown, or the client lacks for it."""
        proves = authentication(self._options, credentials, self._clock)
        connections = self._shared
        if self._options.auth == "tls_client_auth":
            connections = Connections(self._options, credentials.certificate, self._authorities)
            self._own.append(connections)
        return _ClientIssuer(connections, self._options, credentials, proves, self._clock)

    async def close(self) -> None:
        """Gives the connections back. Mints that are under way fail."""
        for connections in (self._shared, *self._own):
            await connections.close()


class _ClientIssuer:
    def __init__(
        self,
        connections: Connections,
        options: EndpointOptions,
        credentials: ClientCredentials,
        proves: ClientAuthentication,
        clock: Clock,
    ) -> None:
        self._connections = connections
        self._options = options
        self._extra = credentials.extra
        self._authentication = proves
        self._clock = clock

    async def mint(self, key: TokenKey) -> Minted:
        """Within one deadline, also where a second secret is tried because the issuer no longer takes the first.

        Raises IssuerError, and nothing else.
        """
        try:
            return await self._mint(key)
        except IssuerError:
            raise
        except Exception as error:  # noqa: BLE001 - translated and raised below, without its text
            failure = IssuerUnavailable(
                f"the request to {self._options.host} cannot be made ({type(error).__name__})",
                remedy="Check the client's secret, key or certificate; otherwise report it, with the server's log.",
            )
            failure.__cause__ = Foreign.of(error)
        raise failure

    def proof(self) -> str:
        """A fingerprint of what the client shows: another one when it was replaced."""
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
            await self._connections.discard()
            raise
        self._authentication.worked(proof)
        return minted

    async def _post(self, key: TokenKey, proof: Proof, deadline: float) -> tuple[Proof, float, Answer]:
        # Before anything else: the token may be as old as the moment in which the request was started.
        started_at = self._clock.monotonic()
        request = build_request(
            self._options.request,
            key,
            proof,
            extra=self._extra,
            audience_parameter=self._options.audience_parameter,
        )
        return proof, started_at, await self._connections.exchange(request, deadline)

    def _asked(self, key: TokenKey, started_at: float) -> Asked:
        return Asked(
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
