"""Tokens that are bound to a certificate or a key: no use to those with whom we would share them. Pure."""

from collections.abc import Mapping


def is_bound(claims: Mapping[str, object], answer: Mapping[str, object]) -> bool:
    """Whether the token, by its claims, or the answer has a confirmation claim (`cnf`, RFC 7800).

    That is `x5t#S256` for a certificate (RFC 8705, section 3.1) or `jkt` for a key (RFC 9449, section 6.1). Others
    count too: whatever a token is bound to is ours, and not the callers'. Opaque tokens do not tell.
    """
    return any(fields.get("cnf") not in (None, {}) for fields in (answer, claims))
