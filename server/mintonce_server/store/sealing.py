"""Seals what is stored: AES-256-GCM (NIST SP 800-38D), bound to the place where it belongs."""

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mintonce_server.core.ports import Clock
from mintonce_server.store.keyring import Keyring

FORMAT: Final = b"\x02"
"""The first byte of what is sealed. 1 was JSON in clear, which begins with a brace."""

_ID, _NONCE, _TAG = 8, 12, 16


class Unopened(Exception):
    """It does not open. The text says why, for people."""


class Sealer:
    """Seals with the newest key whose time has come, opens with any. `keyring`: as it is now.

    Nonces are random: a key may seal 2^32 times (SP 800-38D, section 8.3), at ten mints a second some thirteen years.
    """

    def __init__(self, keyring: Callable[[], Keyring], clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock

    def seal(self, plain: bytes, key_hash: str, generation: int) -> bytes:
        """format, key id, nonce, and what AES-GCM gives."""
        key = self._keyring().sealing(self._clock.unix())
        nonce = os.urandom(_NONCE)
        return FORMAT + key.id + nonce + _cipher(key.key).encrypt(nonce, plain, _place(key.id, key_hash, generation))

    def open(self, sealed: bytes, key_hash: str, generation: int) -> bytes:
        """Raises Unopened."""
        if sealed[:1] != FORMAT or len(sealed) < 1 + _ID + _NONCE + _TAG:
            raise Unopened("it is of a format that this release does not know")
        key_id, nonce = sealed[1 : 1 + _ID], sealed[1 + _ID : 1 + _ID + _NONCE]
        key = self._keyring().opening(key_id)
        if key is None:
            raise Unopened(f"it was sealed with key {key_id.hex()}, which is not in sealing_keys_file")
        try:
            return _cipher(key.key).decrypt(nonce, sealed[1 + _ID + _NONCE :], _place(key_id, key_hash, generation))
        except InvalidTag:
            pass
        raise Unopened("it was changed, or moved here from elsewhere")

    def is_newest(self, sealed: bytes) -> bool:
        """Whether sealing it again would change the key."""
        return sealed[:1] == FORMAT and sealed[1 : 1 + _ID] == self._keyring().sealing(self._clock.unix()).id


@lru_cache(maxsize=64)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


def _place(key_id: bytes, key_hash: str, generation: int) -> bytes:
    """The additional data: each part of fixed length or behind its length, so that no two places look the same."""
    name = key_hash.encode()
    return b"mintonce" + FORMAT + key_id + len(name).to_bytes(2, "big") + name + generation.to_bytes(8, "big")
