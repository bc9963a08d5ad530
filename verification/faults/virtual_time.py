"""An event loop whose time goes on only when nothing else is left to do: hours pass in a moment."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Never waits: what the loop would wait for time, the clock leaps."""

    leapt = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing is left to happen: a task waits for ever")
        self.leapt += timeout
        return super().select(0.0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """For code without network, files and threads."""

    def __init__(self) -> None:
        self._leaping = _Selector()
        super().__init__(self._leaping)

    def time(self) -> float:
        return 1000.0 + self._leaping.leapt


class LoopClock:
    """Implements core.ports.Clock by the time of the running loop."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def unix(self) -> float:
        return 1_800_000_000.0 + self.monotonic()


def run(main: Coroutine[Any, Any, T]) -> T:
    """What it gives, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
