"""JWTs of callers (RFC 7519), verified locally. RFC 8725 lists the pitfalls."""

import base64
import hashlib
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, cast

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import KeySet

from mintonce_server.auth.jwks import JwksUrl, Key, Keys
from mintonce_server.common.clock import Clock
from mintonce_server.common.oauth import JWT_ALGORITHMS
from mintonce_server.common.strict_json import parse_object
from mintonce_server.core.caller import Caller, CallerKind
from mintonce_server.core.errors import MintonceError, Unauthenticated

MAX_JWT: Final = 8192
REMEMBERED: Final = 1024
_SUBJECT = re.compile(r"[\x21-\x7e]{1,512}")
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REMEDY: Final = "Send a valid JWT from an issuer that the server trusts, with the expected audience."


def digest_of(token: str) -> bytes:
    """The name of a JWT among those that were verified."""
    # surrogatepass: a name for any text; whether it is a JWT is looked at later.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class JwtIssuer:
    """One issuer of callers' JWTs. Raises ValueError for an algorithm that is not asymmetric."""

    def __init__(
        self,
        *,
        name: str,
        issuer: str,
        audiences: frozenset[str],
        algorithms: Sequence[str],
        keys: Keys,
        leeway: float,
    ) -> None:
        if not set(algorithms) <= set(JWT_ALGORITHMS):
            raise ValueError("only asymmetric algorithms: a public key must never serve as a secret")
        self.name = name
        self.issuer = issuer
        self._audiences = audiences
        # Not strict: RFC 7515, section 4, says to ignore unknown parameters. Critical ones are refused below.
        self._registry = jws.JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
        self._keys = keys
        self._leeway = leeway
        self._verified: OrderedDict[bytes, tuple[KeySet, Caller]] = OrderedDict()

    def known(self, digest: bytes, now: float) -> Caller | None:
        """The caller of a JWT that was verified before, by its SHA-256; None: verify it."""
        known = self._verified.get(digest)
        if known is None or now >= (known[1].valid_until or 0.0) or known[0] is not self._current_keys():
            return None
        self._verified.move_to_end(digest)
        return known[1]

    def caller(self, token: str, clock: Clock) -> Caller:
        """The caller that the JWT names. Raises Unauthenticated."""
        keys, digest, now = self._current_keys(), digest_of(token), clock.unix()
        if (caller := self.known(digest, now)) is not None:
            return caller
        caller = self._caller(self._claims(token, keys), now)
        self._verified[digest] = (keys, caller)
        self._verified.move_to_end(digest)
        while len(self._verified) > REMEMBERED:
            self._verified.popitem(last=False)
        return caller

    def _current_keys(self) -> KeySet:
        try:
            return self._keys()
        except MintonceError:
            pass
        raise Unauthenticated(
            "the keys to verify this JWT are not available", remedy="Try again soon.", retry_after=5.0
        )

    def _claims(self, token: str, keys: KeySet) -> Mapping[str, object]:
        """The claims of a JWT whose signature is valid for one of the issuer's keys."""
        header = _part(token, 0)
        # Parameters that could select another key or unknown rules are refused before anything else.
        if header is None or {"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"} & header.keys():
            raise _refused("its header is not that of a signed JWT")
        key = _named(header.get("kid"), keys)
        if key is None:
            if isinstance(self._keys, JwksUrl):
                self._keys.want()
            raise _refused("its kid is not a key of the issuer")
        try:
            with warnings.catch_warnings():
                # RFC 9864 renames EdDSA to Ed25519; many issuers still use the old name.
                warnings.simplefilter("ignore", SecurityWarning)
                claims = parse_object(jws.deserialize_compact(token, key, registry=self._registry).payload)
        except Exception:  # noqa: BLE001 - untrusted input is refused, whatever the library raises
            claims = None
        if claims is None:
            raise _refused("its signature is invalid, or its algorithm is not accepted")
        return claims

    def _caller(self, claims: Mapping[str, object], now: float) -> Caller:
        if claims.get("iss") != self.issuer:
            raise _refused("it is from another issuer")
        audiences = claims.get("aud")
        named = {audiences} if isinstance(audiences, str) else set(_texts(audiences))
        if not named & self._audiences:
            raise _refused("it is for another audience")
        expires = _time(claims, "exp")
        if expires is None:
            raise _refused("it has no expiry")
        if now >= expires + self._leeway:
            raise _refused("it has expired")
        for claim in ("nbf", "iat"):
            begins = _time(claims, claim)
            if claim in claims and (begins is None or begins > now + self._leeway):
                raise _refused("it is not valid yet")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise _refused("it has no valid subject")
        return Caller(f"jwt:{self.name}:{subject}", CallerKind.JWT, expires + self._leeway)


def issuer_of(token: str) -> str:
    """The unverified `iss` of a JWT, to find the issuer that can verify it. Raises Unauthenticated."""
    if len(token) > MAX_JWT or not _FORM.fullmatch(token):
        raise _refused("it does not have the form of a signed JWT")
    claims = _part(token, 1)
    issuer = claims.get("iss") if claims else None
    if not isinstance(issuer, str):
        raise _refused("it has no issuer")
    return issuer


def _named(kid: object, keys: KeySet) -> Key | None:
    """The key with this id; without an id, the only key. If there are several, none."""
    if kid is None:
        return keys.keys[0] if len(keys.keys) == 1 else None
    return next((key for key in keys if key.kid == kid), None)


def _part(token: str, index: int) -> Mapping[str, object] | None:
    text = token.split(".")[index]
    try:
        return parse_object(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:  # of Base64, or NotAnObject
        return None


def _texts(value: object) -> list[str]:
    return [item for item in cast("list[object]", value) if isinstance(item, str)] if isinstance(value, list) else []


def _time(claims: Mapping[str, object], name: str) -> float | None:
    """Seconds since 1970 (RFC 7519, section 2: NumericDate)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        return None
    return float(value)


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"the JWT is refused: {why}", remedy=_REMEDY)
