"""JWTs that callers show (RFC 7519), verified here and nowhere else: nobody is asked (RFC 8725 has the pitfalls)."""

import base64
import hashlib
import json
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet

from mintonce_server.core.caller import Caller, CallerKind
from mintonce_server.core.errors import MintonceError, Unauthenticated
from mintonce_server.core.ports import Clock
from mintonce_server.identity.jwks import JwksUrl, Keys

MAX_JWT: Final = 8192
REMEMBERED: Final = 1024
_SUBJECT = re.compile(r"[\x21-\x7e]{1,512}")
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REMEDY: Final = "Send a fresh JWT of an issuer that the server trusts, with the audience that it expects."


class JwtIssuer:
    """One issuer of callers' JWTs. `keys`: the current ones."""

    def __init__(
        self,
        *,
        name: str,
        issuer: str,
        audiences: frozenset[str],
        algorithms: Sequence[str],
        keys: Keys,
        leeway: float = 30.0,
    ) -> None:
        self.name = name
        self.issuer = issuer
        self._audiences = audiences
        self._registry = jws.JWSRegistry(algorithms=list(algorithms))
        self._keys = keys
        self._leeway = leeway
        self._verified: OrderedDict[bytes, tuple[KeySet, Caller]] = OrderedDict()

    def caller(self, token: str, clock: Clock) -> Caller:
        """Whom the JWT names. Raises Unauthenticated."""
        keys, digest = self._current_keys(), hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is not None and known[0] is keys:
            return known[1]  # its end is looked at with every call
        caller = self._caller(self._claims(token, keys), clock.unix())
        self._verified[digest] = (keys, caller)
        while len(self._verified) > REMEMBERED:
            self._verified.popitem(last=False)
        return caller

    def _current_keys(self) -> KeySet:
        try:
            return self._keys()
        except MintonceError:
            pass
        raise Unauthenticated("the keys to verify this JWT are not here", remedy="Try again soon.", retry_after=5.0)

    def _claims(self, token: str, keys: KeySet) -> Mapping[str, object]:
        """Of a token whose signature is right, by one of the keys that the settings or the issuer's URL named."""
        header = _part(token, 0)
        # What could lead to another key, or to rules that we do not know, is refused before it is looked at.
        if header is None or {"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"} & header.keys():
            raise _refused("its header is not one of a signed JWT")
        kid = header.get("kid")
        if (kid is not None and kid not in {key.kid for key in keys}) or (kid is None and len(keys.keys) > 1):
            if isinstance(self._keys, JwksUrl):
                self._keys.want()
            raise _refused("it names no key of the issuer")
        key = next(key for key in keys if kid is None or key.kid == kid)
        try:
            with warnings.catch_warnings():
                # RFC 9864 renames EdDSA to Ed25519; issuers go on saying the old name for long.
                warnings.simplefilter("ignore", SecurityWarning)
                payload = jws.deserialize_compact(token, key, registry=self._registry).payload
        except (JoseError, ValueError, TypeError, KeyError):
            payload = None
        claims = _object(payload) if payload else None
        if claims is None:
            raise _refused("its signature does not hold, or its algorithm is not accepted")
        return claims

    def _caller(self, claims: Mapping[str, object], now: float) -> Caller:
        if claims.get("iss") != self.issuer:
            raise _refused("it is of another issuer")
        audiences = claims.get("aud")
        named = {audiences} if isinstance(audiences, str) else set(_texts(audiences))
        if not named & self._audiences:
            raise _refused("it is for another audience")
        expires = _time(claims, "exp")
        if expires is None:
            raise _refused("it never expires")
        if now >= expires + self._leeway:
            raise _refused("it has expired")
        for claim in ("nbf", "iat"):
            if claim in claims and not (_time(claims, claim) or now + 1e9) <= now + self._leeway:
                raise _refused("it is not valid yet")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise _refused("it names no subject")
        return Caller(f"jwt:{self.name}:{subject}", CallerKind.JWT, expires + self._leeway)


def issuer_of(token: str) -> str:
    """The `iss` of a JWT that nobody has verified yet: to find out who can. Raises Unauthenticated."""
    if len(token) > MAX_JWT or not _FORM.fullmatch(token):
        raise _refused("it has not the form of a signed JWT")
    claims = _part(token, 1)
    issuer = claims.get("iss") if claims else None
    if not isinstance(issuer, str):
        raise _refused("it names no issuer")
    return issuer


def _part(token: str, index: int) -> Mapping[str, object] | None:
    text = token.split(".")[index]
    try:
        return _object(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return None


def _object(data: bytes) -> Mapping[str, object] | None:
    """A JSON object in which no name occurs twice: readers disagree which one would count."""
    try:
        parsed: object = json.loads(data, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", parsed) if isinstance(parsed, dict) else None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


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
