"""The OAuth clients that are registered here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mintonce_server.core.errors import PermissionDenied, UnknownClient
from mintonce_server.core.key import TokenKey, audience_names
from mintonce_server.core.ports import Issuer
from mintonce_server.core.turns import Turns

ANY_AUDIENCE = "*"


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A client as callers know it: by its name. The issuer that it mints from knows its secret.

    Attributes:
        audiences: what its tokens may be for; ("*",) for anything.
        credential_version: rises with every new secret; older tokens and negative records then count no more.
        keep_warm: refresh its tokens even when no caller asks for them.
        has_several_audiences: spaces in an audience separate several, and a token is for all of them.
        turns: bounds the POSTs under way; shared by all clients of one issuer.
        issuer_account: tells accounts at issuers apart, for what their keys share: a token URL and a client_id.
    """

    name: str
    issuer: Issuer
    audiences: frozenset[str] = field(default=frozenset({ANY_AUDIENCE}))
    credential_version: int = 1
    keep_warm: bool = False
    issuer_account: str = ""
    has_several_audiences: bool = False
    turns: Turns = field(default_factory=Turns, compare=False, repr=False)

    def account(self, proof: str) -> str:
        """What shares rate limits, outages and refusals of the client. A mended credential begins a new one."""
        return f"{self.issuer_account} {proof}"

    def allows(self, audience: str) -> bool:
        """Whether a token may be for this audience, or for all of these."""
        names = audience_names(audience, several=self.has_several_audiences)
        return ANY_AUDIENCE in self.audiences or all(name in self.audiences for name in names)


def unknown_client(name: str) -> UnknownClient:
    """For a name that is not registered."""
    return UnknownClient(
        f"no client is registered as '{name}'",
        remedy="Use a registered name, or register it: a [clients.NAME] table in the server's configuration.",
    )


class Clients:
    """The registered clients by name."""

    def __init__(self, clients: Iterable[OAuthClient]) -> None:
        self._by_name: Mapping[str, OAuthClient] = {client.name: client for client in clients}

    def canonical(self, key: TokenKey) -> TokenKey:
        """The key with its audiences in order, if they are several: another order is the same key."""
        client = self._by_name.get(key.client)
        if " " not in key.audience or client is None or not client.has_several_audiences:
            return key
        return replace(key, audience=" ".join(sorted(set(audience_names(key.audience, several=True)))))

    def named(self, name: str) -> OAuthClient:
        """The client of this name. Raises UnknownClient."""
        client = self._by_name.get(name)
        if client is None:
            raise unknown_client(name)
        return client

    def for_key(self, key: TokenKey) -> OAuthClient:
        """The client that mints for a key. Raises UnknownClient or PermissionDenied."""
        client = self.named(key.client)
        if not client.allows(key.audience):
            raise PermissionDenied(
                f"client '{key.client}' may not have tokens for this audience",
                remedy="Add the audience to `audiences` of the client in the server's configuration.",
            )
        return client
