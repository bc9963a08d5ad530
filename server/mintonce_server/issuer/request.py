"""The requests to an issuer. Pure: the same arguments give the same bytes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlencode

from mintonce_server.common.oauth import OWN_PARAMETERS
from mintonce_server.core.errors import IssuerRefused
from mintonce_server.core.key import TokenKey, audience_names, is_scope
from mintonce_server.issuer.auth import ClientProof
from mintonce_server.issuer.options import AUDIENCE, JSON, AudienceParameter, Dialect, SeveralAudiences
from mintonce_server.issuer.refusal import REFUSED_FOR

GRANT_TYPE: Final = "client_credentials"

_HEADERS: Final = {
    "Accept": "application/json",
    # Token responses are small. One that is compressed nevertheless is decompressed within a limit.
    "Accept-Encoding": "identity",
    "User-Agent": "mintonce",
}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. Headers and content may contain a secret, so the repr shows neither."""

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(default=b"", repr=False)


class NoScope(IssuerRefused):
    """The audience cannot stand in a scope. Nothing was sent."""

    def __init__(self) -> None:
        super().__init__(
            "the audience cannot be part of a scope, which is how this issuer names audiences",
            remedy="Ask for an audience without spaces, quotes and characters beyond ASCII; or set several_audiences, "
            "if its spaces separate several.",
            retry_after=REFUSED_FOR,
        )


@dataclass(frozen=True, slots=True)
class Parameters:
    """How an issuer wants the parameters of a token request: see EndpointOptions and ClientCredentials."""

    dialect: Dialect
    audience_parameter: AudienceParameter
    audience_scope: str = AUDIENCE
    default_scopes: tuple[str, ...] = ()
    extra: Mapping[str, JSON] = field(default_factory=dict[str, JSON], repr=False)
    several_audiences: SeveralAudiences = "no"

    def audiences(self, key: TokenKey) -> tuple[str, ...]:
        """The names of the audiences that the key is for."""
        return tuple(audience_names(key.audience, several=self.several_audiences != "no"))

    def audience_scopes(self, key: TokenKey) -> tuple[str, ...]:
        """Scopes that stand for the audience. Raises NoScope: an audience must not bring other scopes along."""
        if self.audience_parameter != "scope" or not key.audience:
            return ()
        scopes = tuple(self.audience_scope.replace(AUDIENCE, name) for name in self.audiences(key))
        if not all(map(is_scope, scopes)):
            raise NoScope
        return scopes

    def hidden_scopes(self, key: TokenKey) -> frozenset[str]:
        """Those of them that are no granted scopes: an audience that is a scope by itself is one."""
        return frozenset() if self.audience_scope == AUDIENCE else frozenset(self.audience_scopes(key))

    def scopes(self, key: TokenKey) -> tuple[str, ...]:
        """What is requested as `scope`."""
        return (*self.audience_scopes(key), *(key.scopes or self.default_scopes))


def read_request(url: str) -> HttpRequest:
    """The GET that reads an issuer's metadata."""
    return HttpRequest("GET", url, _HEADERS)


def mint_request(url: str, key: TokenKey, proof: ClientProof, wanted: Parameters) -> HttpRequest:
    """The POST that mints a token for the key.

    json: the OAuth domain's contract: audience, grant_type, client_id, client_secret, scope if any, extra claims.
    form: RFC 6749, section 4.4.2; the audience is sent as `resource` (RFC 8707), as `audience`, or in a scope.
    """
    parameters = _parameters(key, proof, wanted)
    if wanted.dialect == "json":
        kind, text = "application/json", json.dumps(parameters, separators=(",", ":"))
    else:
        kind, text = "application/x-www-form-urlencoded", urlencode(list(_form_pairs(parameters)))
    return HttpRequest("POST", url, {**_HEADERS, "Content-Type": kind, **proof.headers}, text.encode())


def _parameters(key: TokenKey, proof: ClientProof, wanted: Parameters) -> dict[str, JSON]:
    own: dict[str, JSON] = {}
    if key.audience and wanted.audience_parameter in ("audience", "resource"):
        name = "audience" if wanted.dialect == "json" else wanted.audience_parameter
        audiences = wanted.audiences(key)
        own[name] = list(audiences) if wanted.several_audiences == "repeat" and len(audiences) > 1 else key.audience
    own |= {"grant_type": GRANT_TYPE, **proof.parameters}
    if scopes := wanted.scopes(key):
        own["scope"] = " ".join(scopes)
    extra = wanted.extra
    # The key and the credentials take precedence. With HTTP Basic no extra claim may add a client_id to the body.
    return own | {name: value for name, value in extra.items() if name not in own and name not in OWN_PARAMETERS}


def _form_pairs(parameters: Mapping[str, JSON]) -> Iterator[tuple[str, str]]:
    """A list of strings repeats its name (RFC 8707, section 2); other values are sent as JSON (RFC 9396, section 2)."""
    for name, value in parameters.items():
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            yield from ((name, str(item)) for item in value)
        elif value is not None:
            yield name, json.dumps(value, separators=(",", ":"))
