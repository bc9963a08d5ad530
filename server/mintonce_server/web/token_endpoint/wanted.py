"""From what a request says to a key, by the clients that are registered. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from mintonce_server.calls.tokens import Revocation
from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.key import TokenKey
from mintonce_server.web.token_endpoint.request import (
    Asked,
    BadRequest,
    audience_of,
    require_client,
    require_grant,
    revoked_token,
    scopes_of,
)

_ERRORS = {"scopes": "invalid_scope", "audience": "invalid_target"}


@dataclass(frozen=True, slots=True)
class Registered:
    """Attributes:
    known: names of registered clients.
    names: the same by their client_id at the issuer, where only one client has it.
    default_audiences: by name of the client, for requests without one.
    """

    known: frozenset[str]
    names: Mapping[str, str]
    default_audiences: Mapping[str, str]

    def key(self, asked: Asked) -> TokenKey:
        """Of the token that is asked for. Raises BadRequest."""
        require_grant(asked)
        return self._key(asked, self._client(asked))

    def revocation(self, asked: Asked) -> Revocation:
        """Raises BadRequest."""
        client, token = self._client(asked), revoked_token(asked)
        says_key, key = audience_of(asked) is not None or bool(scopes_of(asked)), self._key(asked, client)
        return Revocation(client, token.sha256(), key if says_key else None)

    def _client(self, asked: Asked) -> str:
        """A name comes before a client_id that is the same text."""
        named = require_client(asked)
        return named if named in self.known else self.names.get(named, named)

    def _key(self, asked: Asked, client: str) -> TokenKey:
        audience = audience_of(asked)
        if audience is None:
            audience = self.default_audiences.get(client, "")
        try:
            return TokenKey.of(client, audience, scopes_of(asked))
        except InvalidRequest as error:
            refused = BadRequest(str(error), error.remedy, error=_ERRORS.get(error.field, "invalid_request"))
        raise refused
