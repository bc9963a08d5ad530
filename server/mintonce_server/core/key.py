"""What one shared token is for."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from mintonce_server.core.errors import InvalidRequest

MAX_AUDIENCE: Final = 1024
MAX_WORDS: Final = 16
"""Of one audience: each may be an audience of its own, which the policy is asked for."""
MAX_SCOPES: Final = 64
MAX_SCOPE: Final = 256

_CLIENT = re.compile(r"[A-Za-z0-9._-]{1,64}")
# RFC 6749, section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_SCOPE = re.compile(rf"[\x21\x23-\x5b\x5d-\x7e]{{1,{MAX_SCOPE}}}")


@dataclass(frozen=True, slots=True)
class TokenKey:
    """(client, audience, scopes). Build it with `of`, which validates, sorts and removes repetition."""

    client: str
    audience: str
    scopes: tuple[str, ...]

    @classmethod
    def of(cls, client: str, audience: str, scopes: Iterable[str] = ()) -> "TokenKey":
        """Raises InvalidRequest, which names the field."""
        scopes = tuple(sorted(set(scopes)))
        if not _CLIENT.fullmatch(client):
            raise _invalid("client", "1 to 64 characters of A-Z a-z 0-9 . _ -")
        if not _is_audience(audience):
            expected = f"at most {MAX_AUDIENCE} printable characters, in at most {MAX_WORDS} words with single spaces"
            raise _invalid("audience", expected)
        if len(scopes) > MAX_SCOPES:
            raise _invalid("scopes", f"at most {MAX_SCOPES} scopes")
        if not all(map(_SCOPE.fullmatch, scopes)):
            expected = "printable ASCII characters without space, quotation mark and backslash"
            raise _invalid("scopes", f"each 1 to {MAX_SCOPE} {expected}")
        return cls(client, audience, scopes)

    def canonical(self) -> bytes:
        """Each part behind its length, so that no two keys share a form: 6:orders,22:https://api.example.com,0:"""
        parts = (self.client, self.audience, *self.scopes)
        return b",".join(b"%d:%s" % (len(part), part) for part in (text.encode() for text in parts))


def audience_names(audience: str, *, several: bool) -> list[str]:
    """The names in the audience of a key. `several`: its spaces separate names, and are not part of one."""
    return audience.split(" ") if several else [audience]


def is_scope(text: str) -> bool:
    """Whether it is one scope (RFC 6749, section 3.3)."""
    return bool(_SCOPE.fullmatch(text))


def _is_audience(text: str) -> bool:
    """Whether it can name an audience: most are URIs or words, but some issuers have names in any script.

    Single spaces may separate words: they are part of a name, or separate several names, as the issuer has it.
    """
    words = text.split(" ")
    return (
        len(text) <= MAX_AUDIENCE and text.isprintable() and len(words) <= MAX_WORDS and (not text or "" not in words)
    )


class KeyHasher:
    """Names keys in the store, on the wake channel and in logs, without saying what they are for.

    Args:
        identities: by the name of each client, what its issuer is asked as. A client that is registered with another
            identity has other keys, and never gets the tokens of the one before it.
    """

    def __init__(self, index_key: bytes, identities: Mapping[str, str] | None = None) -> None:
        self._index_key = index_key
        # Digests: of a fixed length on the hot path, and private claims stay nowhere else in memory.
        self._identities = {
            name: hashlib.sha256(identity.encode()).digest() for name, identity in (identities or {}).items()
        }

    def __call__(self, key: TokenKey) -> str:
        """HMAC-SHA256 of identity and canonical key, truncated to 128 bits: 32 hexadecimal digits."""
        identity = self._identities.get(key.client, b"")
        named = b"%d:%s,%s" % (len(identity), identity, key.canonical())
        return hmac.new(self._index_key, named, hashlib.sha256).hexdigest()[:32]

    def of_issuer(self, issuer: str) -> str:
        """An issuer's name in the store, as a key's."""
        return hmac.new(self._index_key, b"issuer " + issuer.encode(), hashlib.sha256).hexdigest()[:32]

    def of_client(self, client: str) -> str:
        """A client's name in the store, as a key's."""
        return hmac.new(self._index_key, b"client " + client.encode(), hashlib.sha256).hexdigest()[:32]

    def of_proof(self, proof: str) -> str:
        """A credential's name in the store: without the index key it only tells one from another. "" of ""."""
        return hmac.new(self._index_key, b"proof " + proof.encode(), hashlib.sha256).hexdigest()[:32] if proof else ""


def _invalid(field: str, expected: str) -> InvalidRequest:
    # The value stays out of the message: a caller may have put a secret into the wrong field.
    return InvalidRequest(f"{field} is malformed", remedy=f"Send as {field}: {expected}.", field=field)
