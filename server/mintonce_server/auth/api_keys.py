"""API keys for small installations: long random strings, of which the server knows only hashes."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Final, cast

from mintonce_server.common.strict_toml import NotToml, parse_toml
from mintonce_server.core.caller import Caller, CallerKind
from mintonce_server.core.errors import MintonceError, Unauthenticated
from mintonce_server.core.secret import Secret

PREFIX: Final = "mok_"
"""Prefix of every API key: distinguishes it from a JWT, and lets secret scanners find it."""

MAX_KEY: Final = 128
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")


class ApiKeysError(MintonceError):
    """The file of API keys cannot be used."""


class ApiKeys:
    """Callers' names by hash. Look-ups need no constant time: a hash cannot be chosen without knowing its key."""

    def __init__(self, names: Mapping[bytes, str]) -> None:
        self._names = dict(names)

    def caller(self, key: str) -> Caller:
        """The owner of the key. Raises Unauthenticated."""
        name = self._names.get(_digest(key)) if len(key) <= MAX_KEY and key.isascii() else None
        if name is None:
            raise Unauthenticated("the API key is unknown", remedy="Get a new one: `mintonced apikey NAME` makes one.")
        return Caller(f"key:{name}", CallerKind.API_KEY)


def parse_api_keys(data: bytes) -> ApiKeys:
    """Parse TOML: a table [keys] of NAME = "sha256:…", or a list of hashes while a key is being rotated.

    SHA-256 without salt or stretching is enough, because the keys have 256 random bits.
    Raises ApiKeysError, which contains names only.
    """
    names: dict[bytes, str] = {}
    for name, hashes in _table(data).items():
        if not _NAME.fullmatch(name):
            raise ApiKeysError("a name in [keys] is malformed", remedy="Use 1 to 64 of A-Z a-z 0-9 . _ -")
        for text in cast("list[object]", hashes) if isinstance(hashes, list) else [hashes]:
            found = _HASH.fullmatch(text) if isinstance(text, str) else None
            if found is None:
                raise ApiKeysError(
                    f"the hash of {name} is malformed", remedy='Write "sha256:…", as `mintonced apikey NAME` prints it.'
                )
            if names.setdefault(bytes.fromhex(found[1]), name) != name:
                raise ApiKeysError(
                    f"{name} has the same key as another caller", remedy="Make a separate key for each caller."
                )
    return ApiKeys(names)


def new_api_key(name: str) -> tuple[Secret, str]:
    """A new key, and the line for the server's file. Raises ApiKeysError if the name is malformed."""
    if not _NAME.fullmatch(name):
        raise ApiKeysError("the name is malformed", remedy="Use 1 to 64 of A-Z a-z 0-9 . _ -")
    key = PREFIX + secrets.token_urlsafe(32)
    return Secret(key), f'"{name}" = "sha256:{_digest(key).hex()}"'


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _table(data: bytes) -> Mapping[str, object]:
    try:
        document = parse_toml(data)
    except NotToml:
        document = None
    if document is None or set(document) - {"keys"} or not isinstance(document.get("keys", {}), dict):
        raise ApiKeysError(
            "the file of API keys is not TOML with one table [keys]",
            remedy='Write [keys], then lines NAME = "sha256:…".',
        )
    return dict(document.get("keys", {}))
