"""What one POST learns of an issuer, for all keys of an account."""

from mintonce_server.core.errors import Reason
from mintonce_server.core.issuer_state import FRESH_MS, MOST_KEYS, OWN_MS, IssuerState
from mintonce_server.core.ports import Admitted, Backoff, Failure

THROTTLED = Failure(Reason.ISSUER_THROTTLED)
PAUSE = 3_000


def fails(state: IssuerState, key: str, now: int) -> bool:
    """A POST of this key."""
    return state.learn(Admitted(f"{key}-{now}", now, 0), THROTTLED, PAUSE, now)


def succeeds(state: IssuerState, key: str, now: int) -> None:
    """A POST of this key."""
    assert not state.learn(Admitted(f"{key}-{now}", now, 0), None, 0, now)


def test_trouble_of_its_own_is_forgotten_when_others_succeed_no_more() -> None:
    """Then it is the issuer's, perhaps."""
    state = IssuerState()
    fails(state, "a", 1)
    succeeds(state, "b", 2)
    assert not fails(state, "a", 3)
    later = 2 + OWN_MS
    assert not fails(state, "a", later)
    assert fails(state, "b", later + 1)
    assert isinstance(state.enter("c-1", later + 2), Backoff)


def test_two_keys_that_always_fail_keep_the_others_back_once() -> None:
    """However long they go on, as long as others succeed now and then."""
    state, kept_back = IssuerState(), 0
    for second in range(1, 120):
        now = second * 1_000
        for key in ("bad", "worse"):
            if isinstance(state.enter(f"{key}-{now}", now), Admitted):
                fails(state, key, now)
        if second % 5:
            continue
        if isinstance(state.enter(f"good-{now}", now + 1), Backoff):
            kept_back += 1
        else:
            succeeds(state, "good", now + 1)
    assert kept_back <= 1


def test_the_keys_that_are_remembered_are_few() -> None:
    """Callers can invent them."""
    state = IssuerState()
    for number in range(3 * MOST_KEYS):
        fails(state, f"failed {number}", number)
        if number % 2:
            succeeds(state, "good", number)
    for number in range(3 * MOST_KEYS):
        fails(state, f"more {number}", 1_000 + FRESH_MS + number)
    assert (len(state.failed), len(state.own)) == (MOST_KEYS, MOST_KEYS)
