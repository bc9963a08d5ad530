"""Kinds of trouble: from chance and a time to one event."""

import random
from collections.abc import Callable
from typing import Final

from simulate import faults
from simulate.acts import Get, List, Reject, Rotate, Watch
from simulate.fleet import Event
from simulate.issuer import Mode
from simulate.network import Mood

Draw = Callable[[random.Random, float], Event]

KINDS: Final[dict[str, Draw]] = {}
"""Each by its name."""


def kind(name: str) -> Callable[[Draw], Draw]:
    """Registers a kind."""

    def register(draw: Draw) -> Draw:
        KINDS[name] = draw
        return draw

    return register


@kind("kill")
def _kill(chance: random.Random, at: float) -> Event:
    return faults.Kill(at, chance.randrange(4), chance.choice([0.0, 1.0, 5.0, 15.0]), (), chance.random() < 0.3)


@kind("stop")
def _stop(chance: random.Random, at: float) -> Event:
    return faults.Stop(at, chance.randrange(4), chance.choice([0.1, 0.5, 2.0, 4.0, 8.0, 12.0]))


@kind("cut")
def _cut(chance: random.Random, at: float) -> Event:
    weather = chance.choice([("cut", True), ("refused", True)])
    return faults.Storm(at, chance.randrange(4), chance.choice([0.2, 1.0, 4.0, 12.0, 25.0]), (weather,))


@kind("storm")
def _storm(chance: random.Random, at: float) -> Event:
    weather = (
        ("slowest", chance.choice([0.002, 0.05, 0.2, 0.4])),
        ("lost_requests", chance.choice([0.0, 0.1, 0.4])),
        ("lost_replies", chance.choice([0.0, 0.1, 0.4])),
        ("late", chance.choice([0.0, 0.0, 0.2])),
    )
    return faults.Storm(at, chance.randrange(4), chance.choice([1.0, 5.0, 20.0]), weather)


@kind("wakes")
def _wakes(chance: random.Random, at: float) -> Event:
    weather = (
        ("lost_wakes", chance.choice([0.0, 0.3, 1.0])),
        ("repeated_wakes", chance.choice([0.0, 0.5])),
        ("slowest_wake", chance.choice([0.005, 0.3, 3.0])),
    )
    return faults.Storm(at, chance.randrange(4), chance.choice([5.0, 30.0]), weather)


@kind("throws")
def _throws(chance: random.Random, at: float) -> Event:
    return faults.Throws(at, chance.randrange(4), chance.choice([0.0, 0.5, 5.0]))


@kind("host clock")
def _host_clock(chance: random.Random, at: float) -> Event:
    return faults.HostClock(at, chance.randrange(4), chance.choice([-600.0, -30.0, -1.0, 1.0, 30.0, 600.0]))


@kind("forge")
def _forge(chance: random.Random, at: float) -> Event:
    generation = chance.choice([-1, 0, 1, 2**53, 2**62])
    return faults.Forge(
        at, chance.randrange(4), chance.randrange(3), chance.choice(["commit", "reject", "fail"]), generation
    )


@kind("store")
def _store(chance: random.Random, at: float) -> Event:
    return faults.StoreMood(at, chance.choice([Mood.DOWN, Mood.STUCK]), chance.choice([0.2, 1.0, 5.0, 20.0]))


@kind("read-only")
def _read_only(chance: random.Random, at: float) -> Event:
    return faults.StoreMood(at, Mood.READ_ONLY, chance.choice([0.2, 2.0, 10.0]))


@kind("loss")
def _loss(chance: random.Random, at: float) -> Event:
    key = chance.choice([None, None, 0, 1])
    return faults.Loss(at, key, chance.random() < 0.5, chance.random() < 0.5)


@kind("failover")
def _failover(chance: random.Random, at: float) -> Event:
    return faults.Failover(at, chance.choice([0.0, 0.5, 2.0, 8.0]), chance.choice([0.0, 0.0, -1.0, 1.0]))


@kind("store clock")
def _store_clock(chance: random.Random, at: float) -> Event:
    return faults.StoreClock(at, chance.choice([-5.0, -1.0, 0.5, 2.0, 20.0]))


@kind("issuer")
def _issuer(chance: random.Random, at: float) -> Event:
    mode = chance.choice([mode for mode in Mode if mode not in (Mode.WELL, Mode.REPEATS, Mode.THROWS)])
    return faults.Issuing(at, mode, chance.choice([0.5, 3.0, 15.0]), chance.choice([1, 3, 10]))


@kind("repeats")
def _repeats(chance: random.Random, at: float) -> Event:
    return faults.Issuing(at, Mode.REPEATS, chance.choice([10.0, 60.0]))


@kind("issuer throws")
def _issuer_throws(chance: random.Random, at: float) -> Event:
    return faults.Issuing(at, Mode.THROWS, chance.choice([0.5, 5.0]))


@kind("short")
def _short(chance: random.Random, at: float) -> Event:
    return faults.Lifetime(at, chance.randrange(3), chance.choice([0.3, 1.5, 10.0]))


@kind("settings")
def _settings(chance: random.Random, at: float) -> Event:
    setting = chance.choice(
        [("min_rotation_interval", 5.0), ("revalidate_within", 2.0), ("mint_in_outage", False), ("keep_warm", True)]
    )
    return faults.Kill(at, chance.randrange(4), chance.choice([0.0, 2.0]), (setting,), chance.random() < 0.7)


@kind("credentials")
def _credentials(chance: random.Random, at: float) -> Event:
    return faults.Kill(at, chance.randrange(4), chance.choice([0.0, 2.0]), (("version", 2),), chance.random() < 0.7)


@kind("reject")
def _reject(chance: random.Random, at: float) -> Event:
    what = chance.choice(["current", "current", "older", "sha current", "sha older"])
    return Reject(at, chance.randrange(4), chance.randrange(3), what)


@kind("reject nonsense")
def _nonsense(chance: random.Random, at: float) -> Event:
    what = chance.choice(["+1", "1", str(2**53), str(2**62), str(2**63 - 1), "sha 1"])
    return Reject(at, chance.randrange(4), chance.randrange(3), what)


@kind("reject often")
def _often(chance: random.Random, at: float) -> Event:
    return Reject(round(at - at % 10.0 + at % 1.0 * 3.0, 3), chance.randrange(4), 0, "current")


@kind("rotate")
def _rotate(chance: random.Random, at: float) -> Event:
    return Rotate(at, chance.randrange(4), chance.randrange(3), chance.choice([0.5, 15.0]))


@kind("watch")
def _watch(chance: random.Random, at: float) -> Event:
    return Watch(at, chance.randrange(4), chance.randrange(3), chance.choice([3.0, 20.0, 60.0]))


@kind("wishes")
def _wishes(chance: random.Random, at: float) -> Event:
    wish = chance.choice([1.0, 10.0, 1e4, 1e11])
    return Get(at, chance.randrange(4), chance.randrange(3), wish, chance.choice([0.0, 0.2, 15.0]))


@kind("impatient")
def _impatient(chance: random.Random, at: float) -> Event:
    deadline, cancel = chance.choice([(0.0, None), (0.01, None), (0.3, None), (15.0, 0.001), (15.0, 0.05)])
    return Get(at, chance.randrange(4), chance.randrange(3), 0.0, deadline, cancel)


@kind("list")
def _list(chance: random.Random, at: float) -> Event:
    return List(at, chance.randrange(4), 0, chance.choice([0, 1, 1000]))


@kind("slow issuer")
def _slow(chance: random.Random, at: float) -> Event:
    return faults.Issuing(at, chance.choice([Mode.SLOW, Mode.SLOW, Mode.HANGS]), chance.choice([3.0, 15.0]))


ARMED: Final = (
    "long stop", "long stop", "lost reply", "stop", "kill", "cut", "storm", "loss", "failover", "reject", "throws"
)  # fmt: skip
"""What may wait for a moment."""


@kind("armed")
def armed(chance: random.Random, at: float) -> Event:
    moment, what = chance.choice(list(faults.Moment)), chance.choice(ARMED)
    event: Event
    match what:
        case "long stop":
            event = faults.Stop(at, 0, chance.choice([4.0, 8.0]))
        case "lost reply":
            event = faults.Storm(at, 0, 0.0005, (("lost_replies", 1.0),))
        case _:
            event = KINDS[what](chance, at)
    return faults.Armed(at, moment, event)
