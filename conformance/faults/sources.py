"""Faults in what a source does."""

import threading
from time import sleep
from typing import Any

from mintonce import AsyncTokenClient, AsyncTokenSource, Token, _follow
from mintonce._follow import Follower, Pause, Watch


def serves_past_the_end() -> None:
    def get(self: Any) -> Token:
        return self._follower.token  # type: ignore[no-any-return]

    async def wait(self: Any, timeout: float | None = None) -> Token:
        return get(self)

    AsyncTokenSource.token = get  # type: ignore[method-assign]
    AsyncTokenSource.get = wait  # type: ignore[method-assign]


def a_report_for_each_caller() -> None:
    async def reject(self: Any, token: Token, timeout: float | None = None) -> Token:
        await self._client.reject(*self._key, generation=token.generation)
        fresh = await self._client.get(*self._key)
        self._follower.offer(fresh, 0.0)
        return fresh  # type: ignore[no-any-return]

    AsyncTokenSource.reject = reject  # type: ignore[method-assign]


def reports_twice() -> None:
    proper = AsyncTokenClient.reject

    async def reject(self: Any, *what: Any, **how: Any) -> bool:
        await proper(self, *what, **how)
        return await proper(self, *what, **how)

    AsyncTokenClient.reject = reject  # type: ignore[method-assign]


def serves_what_was_rejected() -> None:
    def reported(self: Any, now: float) -> None:
        self._rejected = self._wanted_report
        self._fetch_failures, self._fetch_at = 0, now

    proper = Follower.fetch_failed

    def failed(self: Any, error: Any, now: float) -> None:
        proper(self, error, now)
        self.report_setbacks, self.report_error = self.report_setbacks + 1, error

    Follower.reported = reported  # type: ignore[method-assign]
    Follower.fetch_failed = failed  # type: ignore[method-assign]


def ignores_generations() -> None:
    Follower._accepts = lambda self, token, now: now < token.expires_at  # type: ignore[method-assign]


def takes_back_what_was_rejected() -> None:
    def accepts(self: Follower, token: Token, now: float) -> bool:
        live = self.live(now)
        return now < token.expires_at and (live is None or token.generation > live.generation)

    Follower._accepts = accepts  # type: ignore[method-assign]


def never_watches() -> None:
    proper = Follower.next

    def following(self: Any, now: float) -> Any:
        step = proper(self, now)
        return Pause(step.limit) if isinstance(step, Watch) else step

    Follower.next = following  # type: ignore[method-assign]


def a_storm_of_watches() -> None:
    def ended(self: Any, error: Any, started_at: float, limit: float, now: float) -> None:
        self._watch_at = now

    Follower.watch_ended = ended  # type: ignore[method-assign]


def asks_inside_the_back_off() -> None:
    def hurry(self: Any, now: float) -> None:
        self._fetch_at = now

    Follower.hurry = hurry  # type: ignore[method-assign]


def forgets_retry_info() -> None:
    proper = _follow.backoff
    _follow.backoff = lambda failures, error, *jitter: proper(failures, None, *jitter)


def a_fetch_for_each_read() -> None:
    async def get(self: Any, timeout: float | None = None) -> Token:
        return await self._client.get(*self._key)  # type: ignore[no-any-return]

    AsyncTokenSource.get = get  # type: ignore[method-assign]


def serves_after_close() -> None:
    proper = AsyncTokenSource.aclose

    async def close(self: Any) -> None:
        follower = self._follower
        await proper(self)
        self._follower = follower

    AsyncTokenSource.aclose = close  # type: ignore[method-assign]


def leaves_a_thread() -> None:
    proper = AsyncTokenSource.aclose

    async def close(self: Any) -> None:
        threading.Thread(target=sleep, args=(60,)).start()
        await proper(self)

    AsyncTokenSource.aclose = close  # type: ignore[method-assign]
