"""Turns at an issuer: a bounded number of POSTs at a time, shared fairly by the callers that cause them."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from mintonce_server.core.errors import IssuerError, IssuerUnavailable

AT_ONCE: Final = 40
"""POSTs of this replica to one issuer. More would only run into its rate limit."""
PATIENCE: Final = 5.0
"""Seconds that a POST waits for its turn."""
ASK_AGAIN: Final = 0.25
"""Seconds that one wait lasts at most: then it is looked at again whether the wait is over."""
COUNTS: Final = 2 * ASK_AGAIN
"""Seconds that one wait, with the question before it, counts at most."""
SLOW: Final = 2.0
"""Seconds after which a POST that fails has kept others from their turn."""
SLOW_REMEMBERED: Final = 1000

_THE_SLOW: Final = None
"""Holds the turns of all keys that were slow."""


class NoTurn(IssuerUnavailable):
    """No running POST ended in time to give this one its turn."""


class WaitBudget:
    """PATIENCE seconds, spent in short waits.

    A wait that took longer than it should counts as a short one: the process was stopped, and what it waits for may
    have come meanwhile.
    """

    def __init__(self) -> None:
        self._left = PATIENCE
        self._counted_at = asyncio.get_running_loop().time()

    async def wait(self, until: Callable[[], Awaitable[object]], seconds: float = ASK_AGAIN) -> None:
        """Until this comes, but neither longer than so many seconds nor than ASK_AGAIN. Raises NoTurn if none is left.

        The time since the last wait counts, too. After the last one there is time to look once more.
        """
        now = asyncio.get_running_loop().time()
        self._left -= min(now - self._counted_at, COUNTS)
        self._counted_at = now
        if self._left <= 0.0:
            raise _none_came()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, ASK_AGAIN, self._left)):
                await until()


class Turns:
    """One for each issuer.

    A caller takes a turn only while it holds fewer than are left. So one caller has half of them at most, and keys that
    hang because of it never keep another caller out. All keys whose last POST was slow and failed count as one caller,
    so that an API which hangs costs the others nothing even where callers have no names.
    """

    def __init__(self, most: int = AT_ONCE) -> None:
        self._left = most
        self._held: Counter[str | None] = Counter()
        self._waiting: dict[str | None, list[asyncio.Future[None]]] = {}
        self._slow: OrderedDict[str, None] = OrderedDict()
        self.news = asyncio.Event()
        """Set when something was learned of the issuer, then replaced: take it before you ask."""

    def notify(self) -> None:
        """Something was learned of the issuer."""
        self.news.set()
        self.news = asyncio.Event()

    @asynccontextmanager
    async def turn(self, caller: str, key_hash: str) -> AsyncGenerator[None]:
        """The body makes one POST. Raises NoTurn if none comes within PATIENCE."""
        who = _THE_SLOW if key_hash in self._slow else caller
        await self._take(who)
        began = asyncio.get_running_loop().time()
        try:
            yield
        except IssuerError:
            if asyncio.get_running_loop().time() - began >= SLOW:
                self._remember(key_hash)
            raise
        else:
            self._slow.pop(key_hash, None)
        finally:
            self._give_back(who)

    def _remember(self, key_hash: str) -> None:
        self._slow[key_hash] = None
        self._slow.move_to_end(key_hash)
        if len(self._slow) > SLOW_REMEMBERED:
            self._slow.popitem(last=False)

    def _may_take(self, who: str | None) -> bool:
        return self._held[who] < self._left

    async def _take(self, who: str | None) -> None:
        if self._may_take(who):
            self._grant(who)
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(who, [])
        queue.append(granted)
        budget = WaitBudget()
        try:
            while not granted.done():
                await budget.wait(lambda: asyncio.wait([granted]))
        except BaseException:
            if granted.done():
                self._give_back(who)  # it was granted while giving up
            raise
        finally:
            if granted in queue:
                queue.remove(granted)
            if not queue:
                self._waiting.pop(who, None)

    def _grant(self, who: str | None) -> None:
        self._left -= 1
        self._held[who] += 1

    def _give_back(self, who: str | None) -> None:
        self._left += 1
        self._held[who] -= 1
        if not self._held[who]:
            del self._held[who]
        while self._serve_next():
            pass

    def _serve_next(self) -> bool:
        """Grants one turn, to the caller whose last one is longest ago. False if no waiting caller may have one."""
        for who, queue in self._waiting.items():
            first = next((granted for granted in queue if not granted.done()), None)  # the others are about to leave
            if first is not None and self._may_take(who):
                self._grant(who)
                first.set_result(None)
                self._waiting[who] = self._waiting.pop(who)
                return True
        return False


def _none_came() -> NoTurn:
    error = NoTurn(
        f"too many requests to the issuer are under way, and none of them ended within {PATIENCE:g} s",
        remedy="Look for mint_failed events with many seconds: see why the issuer does not answer for those keys.",
        retry_after=1.0,
    )
    error.of_issuer = True
    return error
