"""Faults in what a source does."""

import threading
from time import sleep
from typing import Any

from conformance.faults.plant import put
from mintonce import AsyncTokenClient, AsyncTokenSource, Token, _follow
from mintonce._follow import Follower, Pause, Watch


def serves_past_the_end() -> None:
    def get(self: Any) -> Token:
        return self._follower.token  # type: ignore[no-any-return]

    async def wait(self: Any, timeout: float | None = None) -> Token:
        return get(self)

    put(AsyncTokenSource, "token", get)
    put(AsyncTokenSource, "get", wait)


def a_report_for_each_caller() -> None:
    async def reject(self: Any, token: Token, timeout: float | None = None) -> Token:
        await self._client.reject(*self._key, generation=token.generation)
        fresh = await self._client.get(*self._key)
        self._follower.offer(fresh, 0.0)
        return fresh  # type: ignore[no-any-return]

    put(AsyncTokenSource, "reject", reject)


def reports_twice() -> None:
    proper = AsyncTokenClient.reject

    async def reject(self: Any, *what: Any, **how: Any) -> bool:
        await proper(self, *what, **how)
        return await proper(self, *what, **how)

    put(AsyncTokenClient, "reject", reject)


def serves_what_was_rejected() -> None:
    def reported(self: Any, now: float) -> None:
        self._rejected = self._wanted_report
        self._fetch_failures, self._fetch_at = 0, now

    proper = Follower.fetch_failed

    def failed(self: Any, error: Any, now: float) -> None:
        proper(self, error, now)
        self.report_setbacks, self.report_error = self.report_setbacks + 1, error

    put(Follower, "reported", reported)
    put(Follower, "fetch_failed", failed)


def ignores_generations() -> None:
    def accepts(self: Follower, token: Token, now: float) -> bool:
        return now < token.expires_at

    put(Follower, "_accepts", accepts)


def takes_back_what_was_rejected() -> None:
    def accepts(self: Follower, token: Token, now: float) -> bool:
        live = self.live(now)
        return now < token.expires_at and (live is None or token.generation > live.generation)

    put(Follower, "_accepts", accepts)


def never_watches() -> None:
    proper = Follower.next

    def following(self: Any, now: float) -> Any:
        step = proper(self, now)
        return Pause(step.limit) if isinstance(step, Watch) else step

    put(Follower, "next", following)


def a_storm_of_watches() -> None:
    def ended(self: Any, error: Any, started_at: float, limit: float, now: float) -> None:
        self._watch_at = now

    put(Follower, "watch_ended", ended)


def gives_up_when_a_replica_drains() -> None:
    proper = Follower.watch_ended

    def ended(self: Any, error: Any, started_at: float, limit: float, now: float) -> None:
        proper(self, error, started_at, limit, now)
        if error is not None and error.reason == "DRAINING":
            self._watch_at = now + 600.0

    put(Follower, "watch_ended", ended)


def mints_for_itself() -> None:
    proper = AsyncTokenClient.get

    async def get(self: Any, *what: Any, **how: Any) -> Token:
        await self.rotate(*what)
        return await proper(self, *what, **how)

    put(AsyncTokenClient, "get", get)


def asks_inside_the_back_off() -> None:
    def hurry(self: Any, now: float) -> None:
        self._fetch_at = now

    put(Follower, "hurry", hurry)


def forgets_retry_info() -> None:
    proper = _follow.backoff

    def backoff(failures: int, error: Any, *jitter: Any) -> float:
        return proper(failures, None, *jitter)

    put(_follow, "backoff", backoff)


def a_fetch_for_each_read() -> None:
    async def get(self: Any, timeout: float | None = None) -> Token:
        return await self._client.get(*self._key)  # type: ignore[no-any-return]

    put(AsyncTokenSource, "get", get)


def serves_after_close() -> None:
    proper = AsyncTokenSource.aclose

    async def close(self: Any) -> None:
        follower = self._follower
        await proper(self)
        self._follower = follower

    put(AsyncTokenSource, "aclose", close)


def leaves_a_thread() -> None:
    proper = AsyncTokenSource.aclose

    async def close(self: Any) -> None:
        threading.Thread(target=sleep, args=(60,)).start()
        await proper(self)

    put(AsyncTokenSource, "aclose", close)
