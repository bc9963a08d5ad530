"""What runs in the process of the callers: herds on a cold key, and watchers of a rotated one.

Each function takes its job and gives what it saw, both as plain JSON values: times by the monotonic clock, which all
processes of this machine share.
"""

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from redis import Redis

from bench.fleet.methods import (
    FOLLOWED,
    GET_TOKEN,
    HELD,
    RELEASE_CHANNEL,
    ROTATE_TOKEN,
    WATCH_TOKEN,
    fresh_audience,
    generation_of,
    get,
    rotate,
    watch,
)
from bench.fleet.wire import Callers, Connection

DEADLINE = 30.0


@dataclass(frozen=True)
class Burst:
    """The job: `callers` of `targets`, `rounds` times; all have asked `pause` seconds after they began to.

    `release`: the Redis URL by which floor servers are released; None: these are replicas of the product.
    """

    targets: Sequence[str]
    callers: int
    rounds: int
    pause: float
    release: str | None = None


@dataclass(frozen=True)
class Round:
    """What became of one round: the generation that came, when each caller had it, and when the last had asked."""

    generation: int
    times: Sequence[float]
    asked: float


class _Publisher(Protocol):
    """What is used of redis-py's client, with the types that it leaves open."""

    def publish(self, channel: str, message: str) -> object: ...


def herd(job: Burst) -> list[Round]:
    """A new key each round. The issuer takes its time, so that all wait when its answer comes."""
    callers = _callers(job)
    release = _releaser(job)
    rounds: list[Round] = []
    try:
        for number in range(1, job.rounds + 1):
            callers.call(HELD if release else GET_TOKEN, get(fresh_audience()))
            asked = time.monotonic()
            if release:
                time.sleep(job.pause)  # the pace of the load, and no wait for something
                release(number)
            rounds.append(_gathered(callers, asked))
    finally:
        callers.close()
    return rounds


def watchers(job: Burst) -> list[Round]:
    """One key, rotated once a round while all watch it."""
    callers = _callers(job)
    release = _releaser(job)
    control = Connection(job.targets[0])
    audience = fresh_audience()
    rounds: list[Round] = []
    try:
        callers.call(FOLLOWED if release else WATCH_TOKEN, watch(audience))
        callers.one_each(DEADLINE)
        for number in range(1, job.rounds + 1):
            time.sleep(job.pause)  # the pace of the load, and no wait for something
            asked = time.monotonic()
            if release:
                release(number)
            else:
                # Its answer is not read: it comes when the watchers' tokens do, and those are what counts.
                control.call(ROTATE_TOKEN, rotate(audience))
            rounds.append(_gathered(callers, asked))
    finally:
        control.close()
        callers.close()
    return rounds


def _gathered(callers: Callers, asked: float) -> Round:
    times, messages = callers.one_each(DEADLINE)
    generations = set(map(generation_of, messages))
    if len(generations) != 1:
        raise RuntimeError(f"the callers have {len(generations)} different tokens")
    return Round(generations.pop(), times, asked)


def _callers(job: Burst) -> Callers:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return Callers(job.targets, job.callers)


def _releaser(job: Burst) -> Callable[[int], object] | None:
    if job.release is None:
        return None
    redis = cast(_Publisher, Redis.from_url(job.release))  # pyright: ignore[reportUnknownMemberType] - redis-py: **kwargs
    return lambda number: redis.publish(RELEASE_CHANNEL, f"release - {number}")
