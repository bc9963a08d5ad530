"""Names of OAuth and JOSE that several parts need."""

from typing import Final, Literal, get_args

OWN_PARAMETERS: Final = frozenset(
    {"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type"}
)
"""Parameters of a token request that only Mintonce sets: extra claims must not override them."""

SigningAlgorithm = Literal["RS256", "PS256", "RS384", "RS512", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Of client assertions that a private key signs (`private_key_jwt`)."""

HmacAlgorithm = Literal["HS256", "HS384", "HS512"]
"""Of client assertions whose key is the client's secret (`client_secret_jwt`)."""

HMAC_ALGORITHMS: Final[tuple[str, ...]] = get_args(HmacAlgorithm)

JWT_ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"),
)
"""Signature algorithms that may be accepted in callers' JWTs. All are asymmetric: a public key can then never be
mistaken for a shared secret."""
