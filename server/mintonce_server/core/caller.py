"""The caller of an RPC, by its identity."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class CallerKind(StrEnum):
    """How a caller proved its identity."""

    CERTIFICATE = "certificate"
    JWT = "jwt"
    API_KEY = "api_key"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Caller:
    """One identity, for policy, logs and limits.

    Attributes:
        name: `spiffe://DOMAIN/PATH` from a certificate, `jwt:ISSUER_NAME:SUBJECT` (the issuer by its name in the
            settings), `key:NAME`, or `anonymous`. Printable ASCII without spaces.
        valid_until: by this host's clock, seconds since 1970, when the proof ends; None for one that does not.
    """

    name: str
    kind: CallerKind
    valid_until: float | None = None


ANONYMOUS: Final = Caller("anonymous", CallerKind.NONE)
"""Every caller, when caller authentication is disabled."""
