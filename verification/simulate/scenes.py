"""Events that make sense only together: what random faults come to once in a thousand seeds."""

import random
from collections.abc import Callable, Iterator
from typing import Final

from simulate import faults
from simulate.acts import Get, Reject
from simulate.fleet import Event
from simulate.issuer import Mode
from simulate.kinds import armed

PLAIN_SHARE: Final = 0.3
"""Of the plans that have no scene."""


def scene(chance: random.Random, seconds: float) -> Iterator[Event]:
    """None, or one of them, some time in so many seconds."""
    at, node, key = round(chance.uniform(0.0, seconds), 3), chance.randrange(4), chance.randrange(3)
    if chance.random() >= PLAIN_SHARE:
        yield from chance.choice(SCENES)(chance, at, node, key)


def _stopped_through_a_rejection(chance: random.Random, at: float, node: int, key: int) -> Iterator[Event]:
    yield Get(at, node, key)
    yield faults.Stop(at + 0.5, node, 9.0)
    yield Reject(at + 1.0, node + 1, key, "current")
    for late in (3.0, 8.0, 9.0):
        yield Get(at + late, node, key, 0.0, chance.choice([0.0, 15.0]))


def _armed(chance: random.Random, at: float, _node: int, _key: int) -> Iterator[Event]:
    for share in (0.2, 0.5, 1.0):
        yield armed(chance, round(at * share, 3))


def _rejected_after_an_outage(chance: random.Random, at: float, node: int, key: int) -> Iterator[Event]:
    yield faults.Storm(at, node, 4.0, (chance.choice([("cut", True), ("refused", True)]),))
    yield Get(at + 1.0, node, key)
    yield Reject(at + chance.choice([2.0, 4.5, 7.0]), node + chance.choice([0, 1]), key, "current")


def _stopped_with_the_lease(chance: random.Random, at: float, _node: int, _key: int) -> Iterator[Event]:
    """The lease lapses while its holder is stopped right before its POST, and another replica mints."""
    others = tuple(Get(0.5, 1, key) for key in range(3))
    stop = faults.Stop(0.0, 0, chance.choice([4.0, 8.0]))
    yield faults.Armed(_early(chance, at), faults.Moment.GRANTED, faults.Series(0.0, 0, (stop, *others)))


def _failed_past_the_lease(chance: random.Random, at: float, _node: int, _key: int) -> Iterator[Event]:
    """The holder is stopped while the issuer fails it. When it is back, the next holder's POST is under way."""
    fails = faults.Issuing(0.0, chance.choice([Mode.BROKEN, Mode.REFUSES, Mode.HANGS_UP]), 0.3)
    others = tuple(Get(0.5, 1, key) for key in range(3))
    series: tuple[Event, ...] = (fails, faults.Stop(0.0, 0, 4.0), *others, faults.Issuing(1.0, Mode.SLOW, 8.0))
    yield faults.Armed(_early(chance, at), faults.Moment.POST, faults.Series(0.0, 0, series))


def _refused(chance: random.Random, at: float, node: int, key: int) -> Iterator[Event]:
    """Callers ask again after a lease and before the end of the back-off, with the store or without it."""
    at = _early(chance, at)
    yield faults.Issuing(at, Mode.REFUSES, 15.0)
    if chance.random() < 0.5:
        yield faults.Storm(at, node, 15.0, (("cut", True),))
    for later in (0.5, 4.5, 8.0):
        yield Get(at + later, node, key)


def _rejected_before_its_commit(chance: random.Random, at: float, _node: int, _key: int) -> Iterator[Event]:
    """A replica cannot commit what it serves. A caller rejects that at another one, and the store comes back."""
    keys = range(3)
    rejects = tuple(Reject(1.0, 1, key, "current") for key in keys)
    later = tuple(Get(9.0, node, key) for node in (0, 1) for key in keys)
    series: tuple[Event, ...] = (faults.Storm(0.0, 0, 2.0, (("cut", True),)), *rejects, *later)
    yield faults.Armed(_early(chance, at), faults.Moment.GOT, faults.Series(0.0, 0, series))


def _minted_by_each_alone(chance: random.Random, at: float, node: int, key: int) -> Iterator[Event]:
    """Two replicas without the store; then they have to agree."""
    at = _early(chance, at)
    for one in (node, node + 1):
        yield faults.Storm(at, one, 4.0, (("cut", True),))
        yield Get(at + 1.0, one, key)


def _issuer_in_trouble(chance: random.Random, at: float, _node: int, _key: int) -> Iterator[Event]:
    """Two keys find out, and a call for the third one comes before the time that the issuer named."""
    at = _early(chance, at)
    yield faults.Issuing(at, chance.choice([Mode.BUSY, Mode.THROTTLES]), 15.0, 5)
    for later, key in ((0.2, 0), (0.6, 1), (2.0, 2), (3.0, 2), (4.0, 2)):
        yield Get(at + later, chance.randrange(4), key)


def _early(chance: random.Random, at: float) -> float:
    """Before the first mint, or some time: tokens may live longer than the run."""
    return chance.choice([0.0, at])


SCENES: Final[tuple[Callable[[random.Random, float, int, int], Iterator[Event]], ...]] = (
    _stopped_through_a_rejection,
    _armed,
    _rejected_after_an_outage,
    _stopped_with_the_lease,
    _failed_past_the_lease,
    _refused,
    _rejected_before_its_commit,
    _minted_by_each_alone,
    _issuer_in_trouble,
)
