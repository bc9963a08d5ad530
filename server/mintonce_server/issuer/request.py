"""The POST to the issuer. Pure: the same arguments give the same bytes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from mintonce_server.common.oauth import OWN_PARAMETERS
from mintonce_server.core.key import TokenKey
from mintonce_server.issuer.auth import ClientProof
from mintonce_server.issuer.options import JSON, AudienceParameter, Dialect

GRANT_TYPE: Final = "client_credentials"

_HEADERS: Final = {
    "Accept": "application/json",
    # Token responses are small. One that is compressed nevertheless is decompressed within a limit.
    "Accept-Encoding": "identity",
    "User-Agent": "mintonce",
}


@dataclass(frozen=True, slots=True)
class MintRequest:
    """One POST. Both parts may contain the secret, so the repr shows neither."""

    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


def build_request(
    dialect: Dialect,
    key: TokenKey,
    proof: ClientProof,
    *,
    extra: Mapping[str, JSON],
    audience_parameter: AudienceParameter,
) -> MintRequest:
    """The POST that mints a token for the key.

    json: the OAuth domain's contract: audience, grant_type, client_id, client_secret, scope if any, extra claims.
    form: RFC 6749, section 4.4.2; the audience is sent as `resource` (RFC 8707) or `audience`.
    """
    if dialect == "json":
        parameters = _parameters(key, proof, extra, "audience")
        return _request(proof, "application/json", json.dumps(parameters, separators=(",", ":")))
    parameters = _parameters(key, proof, extra, audience_parameter)
    return _request(proof, "application/x-www-form-urlencoded", urlencode(list(_form_pairs(parameters))))


def _parameters(
    key: TokenKey, proof: ClientProof, extra: Mapping[str, JSON], audience_parameter: str
) -> dict[str, JSON]:
    own: dict[str, JSON] = {audience_parameter: key.audience} if key.audience else {}
    own |= {"grant_type": GRANT_TYPE, **proof.parameters}
    if key.scopes:
        own["scope"] = " ".join(key.scopes)
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


def _request(proof: ClientProof, content_type: str, text: str) -> MintRequest:
    return MintRequest({**_HEADERS, "Content-Type": content_type, **proof.headers}, text.encode())
