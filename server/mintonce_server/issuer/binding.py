"""Tokens that are bound to a certificate or a key: no use to those with whom we would share them. Pure."""

import base64
from collections.abc import Mapping

from mintonce_server.issuer.strictjson import parse_object


def claims_of(token: str) -> Mapping[str, object]:
    """What the token says if it reads as a JWT (RFC 7519), or nothing. Not verified: it came from the issuer itself."""
    _, dot, rest = token.partition(".")
    payload, second_dot, _ = rest.partition(".")
    if not (dot and second_dot):
        return {}
    try:
        return parse_object(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:  # binascii.Error and NotAnObject are ValueErrors: an opaque token with two dots
        return {}


def is_bound(token: str, answer: Mapping[str, object]) -> bool:
    """Whether the token or the answer has a confirmation claim (`cnf`, RFC 7800).

    That is `x5t#S256` for a certificate (RFC 8705, section 3.1) or `jkt` for a key (RFC 9449, section 6.1). Others
    count too: whatever a token is bound to is ours, and not the callers'. Opaque tokens do not tell.
    """
    return any(fields.get("cnf") not in (None, {}) for fields in (answer, claims_of(token)))
