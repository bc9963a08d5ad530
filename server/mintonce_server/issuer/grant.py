"""What the issuer granted: scopes and audience, as its answer and the token itself say. Pure."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from mintonce_server.core.errors import IssuerMalformed
from mintonce_server.core.key import MAX_AUDIENCE, MAX_SCOPE
from mintonce_server.core.text import MAX_GRANTED_AUDIENCES, MAX_GRANTED_SCOPES, printable
from mintonce_server.issuer.refusal import REFUSED_FOR
from mintonce_server.issuer.strictjson import parse_object

AudienceCheck = Literal["warn", "refuse", "off"]

AUDIENCE_REMEDY: Final = (
    "Check the issuer's audience_parameter, and that the audience is registered there for this client: many issuers "
    "ignore an audience that they do not know."
)

# RFC 7515, section 7.1: three parts in base64url without padding; some issuers pad. The signature may be empty.
_JWT = re.compile(r"[A-Za-z0-9_-]+=*\.([A-Za-z0-9_-]+=*)\.[A-Za-z0-9_-]*=*")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is good for. Names are printable ASCII: what was not is escaped.

    Attributes:
        scopes: sorted.
        audience: as Minted.audience.
    """

    scopes: tuple[str, ...]
    audience: tuple[str, ...]


class BadGrant(ValueError):
    """The answer does not say in a usable way what was granted. The text completes "the answer of ISSUER …"."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


class WrongAudience(IssuerMalformed):
    """The token is for another audience than the one that was asked for. `grant`: for the audit log."""

    def __init__(self, message: str, *, remedy: str, grant: Grant) -> None:
        super().__init__(message, remedy=remedy, retry_after=REFUSED_FOR)
        self.grant = grant


def claims_of(token: str) -> Mapping[str, object]:
    """What the token says if it reads as a JWT (RFC 7519), or nothing.

    It is not verified: the issuer itself sent it, by TLS, and what it says is only compared with what was asked for.
    """
    found = _JWT.fullmatch(token)
    if found is None:
        return {}
    payload = found[1].rstrip("=")
    try:
        return parse_object(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:  # binascii.Error and NotAnObject are ValueErrors: an opaque token with two dots
        return {}


def read_grant(fields: Mapping[str, object], claims: Mapping[str, object], asked: tuple[str, ...]) -> Grant:
    """`fields`: the answer; `claims`: the token's, see `claims_of`. Raises BadGrant.

    The scopes are those that the answer names, and those that the JWT names: its resource server believes the latter.
    Where neither names any, the scopes that were asked for were granted (RFC 6749, section 5.1).
    """
    stated = fields.get("scope")
    answered = None if stated is None else _names(stated)
    if stated is not None and answered is None:
        raise BadGrant(
            "has a scope that is no text",
            "The issuer must send scopes as one text with spaces (RFC 6749, section 3.3). Report it to its people.",
        )
    said = [names for names in (answered, *map(_names, _claimed(claims))) if names is not None]
    names = {name for names in said for name in names} if said else set(asked)
    scopes = sorted(printable(name, MAX_SCOPE + 1) for name in names)
    if len(scopes) > MAX_GRANTED_SCOPES or any(len(name) > MAX_SCOPE for name in scopes):
        raise BadGrant(
            f"grants more than {MAX_GRANTED_SCOPES} scopes, or one of more than {MAX_SCOPE} characters",
            "Such a token allows more than can be checked. Ask for the scopes that are needed, or grant fewer there.",
        )
    return Grant(tuple(scopes), _audience(claims))


def check_audience(grant: Grant, asked: str, issuer: str) -> None:
    """For `audience_check = "refuse"`: a JWT must name the audience. Raises WrongAudience."""
    if asked and asked not in grant.audience:
        # What the token names stays out of the text, which callers get; logs and the audit log have it.
        raise WrongAudience(
            f"the token of {issuer} is not for the audience that was asked for",
            remedy=AUDIENCE_REMEDY + ' If the token is right all the same, set the issuer\'s audience_check = "warn".',
            grant=grant,
        )


def _claimed(claims: Mapping[str, object]) -> list[object]:
    """RFC 9068, section 2.2.3, says `scope`; Okta and Microsoft Entra say `scp`."""
    return [claims[name] for name in ("scope", "scp") if claims.get(name) is not None]


def _names(value: object) -> list[str] | None:
    """Of one text with spaces, or of a list, as some send; None for all else."""
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list):
        listed = cast("list[object]", value)
        return [name for item in listed if isinstance(item, str) for name in item.split()]
    return None


def _audience(claims: Mapping[str, object]) -> tuple[str, ...]:
    """RFC 7519, section 4.1.3: one text, or a list of them."""
    stated = claims.get("aud")
    names: list[object] = [stated] if isinstance(stated, str) else []
    if isinstance(stated, list):
        names = cast("list[object]", stated)
    texts = [name for name in names if isinstance(name, str)]
    return tuple(printable(name, MAX_AUDIENCE) for name in texts[:MAX_GRANTED_AUDIENCES])
