"""Seals what is stored with AES-256-GCM (NIST SP 800-38D), bound to its place; opens records, with alarms."""

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mintonce_server.common.clock import Clock
from mintonce_server.observability.store_meter import StoreMeter
from mintonce_server.store.keyring import Keyring

FORMAT: Final = b"\x02"
"""The first byte of sealed data. Format 1 was plain JSON, which begins with a brace."""

_ID, _NONCE, _TAG = 8, 12, 16

ALARM_INTERVAL: Final = 60.0
"""Minimum seconds between two alarms about the same key."""

REMEMBERED: Final = 10_000

OnUnreadable = Callable[[str, str], None]
"""Called with the key's name in the store and the reason."""


class Unopened(Exception):
    """It cannot be opened. The text says why."""


class Sealer:
    """Seals with the newest key that is already valid, opens with any. `keyring` returns the current keys.

    Nonces are random: a key may seal 2^32 times (SP 800-38D, section 8.3), which is 13 years at ten mints per second.
    """

    def __init__(self, keyring: Callable[[], Keyring], clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock

    def seal(self, plain: bytes, key_hash: str, generation: int) -> bytes:
        """Format, key id, nonce, and the output of AES-GCM."""
        key = self._keyring().sealing(self._clock.unix())
        nonce = os.urandom(_NONCE)
        return FORMAT + key.id + nonce + _cipher(key.key).encrypt(nonce, plain, _place(key.id, key_hash, generation))

    def open(self, sealed: bytes, key_hash: str, generation: int) -> bytes:
        """Raises Unopened."""
        if sealed[:1] != FORMAT or len(sealed) < 1 + _ID + _NONCE + _TAG:
            raise Unopened("its format is unknown to this release")
        key_id, nonce = sealed[1 : 1 + _ID], sealed[1 + _ID : 1 + _ID + _NONCE]
        key = self._keyring().opening(key_id)
        if key is None:
            raise Unopened(f"it was sealed with key {key_id.hex()}, which is not in sealing_keys_file")
        try:
            return _cipher(key.key).decrypt(nonce, sealed[1 + _ID + _NONCE :], _place(key_id, key_hash, generation))
        except InvalidTag:
            pass
        raise Unopened("it was changed, or copied from another key or generation")

    def is_newest(self, sealed: bytes) -> bool:
        """Whether it is sealed with the key that would seal it now."""
        return sealed[:1] == FORMAT and sealed[1 : 1 + _ID] == self._keyring().sealing(self._clock.unix()).id


@lru_cache(maxsize=64)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


def _place(key_id: bytes, key_hash: str, generation: int) -> bytes:
    """The additional data. Each part has a fixed length or follows its length, so that places are unambiguous."""
    name = key_hash.encode()
    return b"mintonce" + FORMAT + key_id + len(name).to_bytes(2, "big") + name + generation.to_bytes(8, "big")


class RecordOpener:
    """Implements record.Open."""

    def __init__(
        self, sealer: Sealer, on_unreadable: OnUnreadable, clock: Clock, meter: StoreMeter | None = None
    ) -> None:
        self._sealer = sealer
        self._meter = meter or StoreMeter()
        self._on_unreadable = on_unreadable
        self._clock = clock
        self._reported: dict[str, float] = {}

    def __call__(self, sealed: bytes, key_hash: str, generation: int) -> bytes | None:
        """The payload, or None with an alarm: the reader treats the record as missing.

        Its replica mints a token and serves that while it is live: replicas with different keys mint one token each.
        """
        try:
            return self._sealer.open(sealed, key_hash, generation)
        except Unopened as error:
            self.alarm(key_hash, f"a record cannot be opened: {error}", "key")
            return None

    def alarm(self, key_hash: str, why: str, kind: str = "form") -> None:
        """Report an unreadable record, at most once in ALARM_INTERVAL for each key. All of them are counted."""
        self._meter.unreadable(kind)
        now = self._clock.monotonic()
        if now - self._reported.get(key_hash, -ALARM_INTERVAL) < ALARM_INTERVAL:
            return
        if len(self._reported) >= REMEMBERED:
            self._reported = {name: at for name, at in self._reported.items() if now - at < ALARM_INTERVAL}
        self._reported[key_hash] = now
        self._on_unreadable(key_hash, why)
