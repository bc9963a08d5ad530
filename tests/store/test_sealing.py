"""Sealed data opens only in its place, and only with the key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.store.keyring import FIXED_KEYRING, Keyring, SealingKey
from mintonce_server.store.sealing import Sealer, Unopened
from support.clocks import ManualClock

HASH = "0123456789abcdef0123456789abcdef"
OTHER_HASH = "f" * 32
SECRET = b'{"token":"canary"}'


def ring(*keys: SealingKey) -> Keyring:
    return Keyring(b"index", keys)


def key(number: int, seal_from: float = 0.0) -> SealingKey:
    return SealingKey.of(bytes([number]) * 32, seal_from)


def sealer(keyring: Keyring) -> Sealer:
    return Sealer(lambda: keyring, ManualClock())


SEALER = sealer(ring(key(1)))


def test_what_is_sealed_shows_nothing_and_opens() -> None:
    """With the key, and in its place."""
    sealed = SEALER.seal(SECRET, HASH, 7)

    assert b"canary" not in sealed
    assert SEALER.open(sealed, HASH, 7) == SECRET


def test_the_same_is_never_sealed_the_same() -> None:
    """A comparison of records reveals nothing."""
    assert SEALER.seal(SECRET, HASH, 7) != SEALER.seal(SECRET, HASH, 7)


@pytest.mark.parametrize(("key_hash", "generation"), [(OTHER_HASH, 7), (HASH, 6), (HASH, 8)])
def test_a_record_opens_nowhere_else(key_hash: str, generation: int) -> None:
    """Neither with another key nor another generation: an attacker who writes to the store cannot swap or roll back."""
    sealed = SEALER.seal(SECRET, HASH, 7)

    with pytest.raises(Unopened, match="changed, or copied"):
        SEALER.open(sealed, key_hash, generation)


@given(st.data())
def test_a_record_with_one_bit_changed_does_not_open(data: st.DataObject) -> None:
    """Wherever the bit is."""
    sealed = bytearray(SEALER.seal(SECRET, HASH, 7))
    position = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[position // 8] ^= 1 << position % 8

    with pytest.raises(Unopened):
        SEALER.open(bytes(sealed), HASH, 7)


@given(st.binary(max_size=200))
def test_rubbish_does_not_open(rubbish: bytes) -> None:
    """Nor does it raise any other error."""
    with pytest.raises(Unopened):
        SEALER.open(rubbish, HASH, 7)


def test_without_the_key_the_alarm_names_it() -> None:
    """By its id, which reveals nothing of the key."""
    sealed = SEALER.seal(SECRET, HASH, 7)

    with pytest.raises(Unopened, match=key(1).id.hex()):
        sealer(ring(key(2))).open(sealed, HASH, 7)


def test_old_keys_open_and_the_newest_seals() -> None:
    """A rotation turns no record into a miss."""
    old = SEALER.seal(SECRET, HASH, 7)
    rotated = sealer(ring(key(2), key(1)))

    assert rotated.open(old, HASH, 7) == SECRET
    assert not rotated.is_newest(old)
    with pytest.raises(Unopened):
        SEALER.open(rotated.seal(SECRET, HASH, 8), HASH, 8)


def test_a_new_key_seals_only_when_its_time_has_come() -> None:
    """Until then every replica can get it: those with and without it open each other's records."""
    clock = ManualClock()
    keyring = ring(key(2, clock.unix() + 60.0), key(1))
    both = Sealer(lambda: keyring, clock)

    before = both.seal(SECRET, HASH, 7)
    clock.advance(61.0)
    after = both.seal(SECRET, HASH, 8)

    assert SEALER.open(before, HASH, 7) == SECRET
    assert both.open(before, HASH, 7) == SECRET
    assert both.is_newest(after)
    assert not both.is_newest(before)


def test_no_repr_shows_a_key() -> None:
    """For all of these types."""
    shown = repr(FIXED_KEYRING) + repr(key(65)) + repr(SEALER)
    assert "AAAA" not in shown
    assert "index key" not in shown
