"""How a client proves to the issuer who it is (RFC 6749, section 2.3; OpenID Connect Core, section 9)."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote_plus

from mintonce_server.core.secret import Secret

SecretSource = Callable[[], Secret]
"""Asked anew at each mint, so that a secret may change without a restart."""

_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Proof:
    """What the proof adds to one request. Secret, so its repr shows none of it."""

    parameters: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)


class ClientAuthentication(Protocol):
    """One client's way to prove itself."""

    def prove(self) -> Proof:
        """A proof for one request; never used for a second one."""
        ...


@dataclass(frozen=True, slots=True)
class ClientSecretPost:
    """client_secret_post: id and secret travel in the body (RFC 6749, section 2.3.1)."""

    client_id: str
    secret: SecretSource

    def prove(self) -> Proof:
        return Proof(parameters={"client_id": self.client_id, "client_secret": self.secret().reveal()})


@dataclass(frozen=True, slots=True)
class ClientSecretBasic:
    """client_secret_basic: id and secret travel as HTTP Basic credentials (RFC 6749, section 2.3.1)."""

    client_id: str
    secret: SecretSource

    def prove(self) -> Proof:
        # Both are form-urlencoded before they are joined: a colon in the id would end it, and RFC 6749 asks for it.
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret().reveal())}"
        return Proof(headers={"Authorization": "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")})


_METHODS: Final[Mapping[str, Callable[[str, SecretSource], ClientAuthentication]]] = {
    "client_secret_post": ClientSecretPost,
    "client_secret_basic": ClientSecretBasic,
}
METHODS: Final = tuple(_METHODS)
"""What `auth` of an issuer may be."""


def authentication(method: str, client_id: str, secret: SecretSource) -> ClientAuthentication:
    """The client's way to prove itself, by its registered name. Raises ValueError."""
    try:
        build = _METHODS[method]
    except KeyError as error:
        raise ValueError(f"auth '{method}' is not known: use one of {', '.join(METHODS)}") from error
    return build(client_id, secret)
