"""Runs a check on many examples, in a thread of its own: the store and the issuer live on the event loop."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from attack.figures import Figures
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


async def explore(
    figures: Figures, strategy: SearchStrategy[T], check: Callable[[T], None], examples: int, seed: int
) -> None:
    """`check` writes into the figures. The same seed gives the same examples."""

    # Nothing is shrunk: a broken law is counted and the exploration goes on.
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @seeded(seed)
    @given(strategy)
    def each(example: T) -> None:
        check(example)

    began = time.monotonic()
    await asyncio.to_thread(each)
    figures.seconds += time.monotonic() - began
