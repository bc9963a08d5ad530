"""Practice tokens: they look like those of an OAuth domain, and open nothing."""

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Final

from mintonce_dev.contract import Verdict

SHORT: Final = 60.0
"""Seconds."""


def practice_token(verdict: Verdict, issuer: str, now: float, lifetime: float) -> tuple[str, str]:
    """A token in the form of a JWT (RFC 7519, with a random signature), and its jti. Times are seconds."""
    jti = secrets.token_hex(8)
    claims: dict[str, object] = {
        "iss": issuer,
        "sub": f"{verdict.client_id}@clients",
        "aud": verdict.audience,
        "iat": _numeric_date(now, lifetime),
        "exp": _numeric_date(now + lifetime, lifetime),
        "azp": verdict.client_id,
        "jti": jti,
    }
    if verdict.scope:
        claims["scope"] = verdict.scope
    header = {"alg": "RS256", "typ": "JWT", "kid": "practice"}
    return ".".join((_part(header), _part(claims), _base64url(secrets.token_bytes(256)))), jti


def _numeric_date(at: float, lifetime: float) -> float:
    """Whole seconds, as issuers write them; of a life that a whole second would cut short, with decimals (RFC 7519)."""
    return int(at) if lifetime >= SHORT else round(at, 3)


def _part(value: Mapping[str, object]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
