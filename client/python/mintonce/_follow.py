"""Decides what a source does next, without I/O, threads or event loop. `aio_source.py` and `source.py` do it.

All times are seconds; `now` and `…_at` are on the monotonic clock.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc

from mintonce.errors import MintonceError, TokenExpired, again
from mintonce.token import Token

BACKOFF_BASE: Final = 0.5
BACKOFF_MAX: Final = 30.0
GRACE_MAX: Final = 10.0
"""Seconds that a watch has after the refresh time to push the successor, before a fetch."""
WATCH_MAX: Final = 1800.0
"""Seconds after which a watch is replaced at the latest, so that dead connections and uneven load do not stay."""
WATCH_PROVEN: Final = 30.0
"""A watch that lasted this long was not a failure."""
WATCH_UNIMPLEMENTED: Final = 600.0
"""Seconds until the next try at a server without WatchToken: it may have been replaced."""
PAUSE_SHARE, PAUSE_MIN, PAUSE_MAX = 0.1, 0.2, 60.0
"""When a fetch brought nothing newer: ask again after this share of the remaining life."""
RETRY_AFTER_MAX: Final = 300.0


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the server that a generation was refused."""

    generation: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Call GetToken."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Call WatchToken, for so many seconds at most."""

    limit: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so many seconds, unless woken."""

    seconds: float


Step = Report | Fetch | Watch | Pause


class Follower:
    """Holds the newest token and knows what to do for its successor. Not thread-safe but for reading `token`.

    Attributes:
        token: the newest one; None once it is known to be rejected.
        last_error: why the last call failed; None since the last success.
        setbacks: the number of failed fetches. A caller that waits for a token gives up when it rises.
        report_setbacks, report_error: the same for reports, and for fetches after one.
    """

    def __init__(self, token: Token, now: float, jitter: Callable[[], float] = random.random) -> None:
        self.token: Token | None = token
        self.last_error: MintonceError | None = None
        self.setbacks = 0
        self.report_setbacks = 0
        self.report_error: MintonceError | None = None
        self._jitter = jitter
        self._fetch_at = self._due(token, now)
        self._fetch_failures = 0
        self._watch_at = now
        self._watch_failures = 0
        self._wanted_report = 0
        self._rejected = 0
        self._blocked_until = 0.0

    def next(self, now: float) -> Step:
        if self._wanted_report > self._rejected:
            return Report(self._wanted_report)
        if now >= self._fetch_at:
            return Fetch()
        if now >= self._watch_at:
            return Watch(min(self._fetch_at - now, WATCH_MAX * (0.5 + self._jitter() / 2)))
        return Pause(min(self._fetch_at, self._watch_at) - now)

    def live(self, now: float) -> Token | None:
        """The token, if it may be used."""
        token = self.token
        return token if token is not None and now < token.expires_at else None

    def successor(self, generation: int, now: float) -> Token | None:
        """The token, if it may be used and is newer than the generation."""
        token = self.live(now)
        return token if token is not None and token.generation > generation else None

    def offer(self, token: Token, now: float) -> bool:
        """A token came. True: it is the newest now."""
        if not self._accepts(token, now):
            return False
        self.token = token
        self.last_error = None
        self._blocked_until = 0.0
        self._fetch_at = self._due(token, now)
        return True

    def fetched(self, token: Token, now: float) -> bool:
        """GetToken answered. As `offer`; when it brought nothing newer, the next one waits."""
        self._fetch_failures = 0
        self.last_error = None
        accepted = self.offer(token, now)
        if not accepted:
            self._fetch_at = now + self._pause(now)
        return accepted

    def fetch_failed(self, error: MintonceError, now: float) -> None:
        self.last_error = error
        self.setbacks += 1
        if self.token is None:
            self.report_setbacks += 1
            self.report_error = error
        self._fetch_failures += 1
        self._fetch_at = now + self._backoff(self._fetch_failures, error)

    def watch_ended(self, error: MintonceError | None, started_at: float, limit: float, now: float) -> None:
        """A watch is over: at its limit, by an error, or (None) because it was cancelled or the server ended it."""
        at_limit = now >= started_at + limit - 0.1
        if error is None or (at_limit and error.code is grpc.StatusCode.DEADLINE_EXCEEDED):
            self._watch_failures = 0 if error else self._watch_failures
            self._watch_at = now if error else now + self._backoff(1)
        elif error.code is grpc.StatusCode.UNIMPLEMENTED:
            self._watch_at = now + WATCH_UNIMPLEMENTED
        else:
            self.last_error = error
            self._watch_failures = 1 if now - started_at >= WATCH_PROVEN else self._watch_failures + 1
            self._watch_at = now + self._backoff(self._watch_failures, error)

    def want_report(self, generation: int, now: float) -> None:
        """An API refused the token of this generation. Raises the last error while the next report must wait."""
        if self.report_error and (now < self._blocked_until or self._failing(now)):
            raise again(self.report_error)
        if generation > self._rejected:
            self._wanted_report = max(self._wanted_report, generation)

    def reported(self, generation: int, now: float) -> None:
        """The server has accepted the report of this generation and serves it no more. It mints at the next fetch.

        A higher one that was refused meanwhile is reported next.
        """
        self._rejected = max(self._rejected, generation)
        if self.token is not None and self.token.generation <= self._rejected:
            self.token = None
            self._fetch_failures = 0
            self._fetch_at = now

    def report_failed(self, error: MintonceError, now: float) -> None:
        """The token stays in use: the server may have good reason, such as too many rotations."""
        self.last_error = self.report_error = error
        self.report_setbacks += 1
        self._wanted_report = 0
        self._blocked_until = now + self._backoff(1, error)

    def hurry(self, now: float) -> None:
        """A caller waits for a live token. Raises TokenExpired while the next fetch must wait."""
        if self._failing(now):
            raise self.expired()
        if self._fetch_failures == 0 and self.token is not None:
            self._fetch_at = min(self._fetch_at, now)

    def expired(self) -> TokenExpired:
        """The error when no token is live. Its cause is the last error."""
        last = self.last_error
        error = TokenExpired(
            f"the token is over and there is no successor: {last or 'it has not come yet'}",
            reason="TOKEN_EXPIRED",
            remedy=(last.remedy if last else "") or "Try again in a moment: a successor is being asked for.",
            retry_after=last.retry_after if last else None,
            code=last.code if last else grpc.StatusCode.UNAVAILABLE,
            issuer_error=last.issuer_error if last else "",
            request_id=last.request_id if last else "",
        )
        error.__cause__ = last
        return error

    def _accepts(self, token: Token, now: float) -> bool:
        if token.generation <= self._rejected or now >= token.expires_at:
            return False
        # A lower generation counts only when nothing else lives: the store has lost its history then.
        live = self.live(now)
        return live is None or token.generation > live.generation

    def _failing(self, now: float) -> bool:
        return self.live(now) is None and self._fetch_failures > 0 and now < self._fetch_at

    def _due(self, token: Token, now: float) -> float:
        """When to fetch if no watch has pushed the successor: a little after the refresh time, spread."""
        refresh_at = max(token.refresh_at, now)
        grace = min(GRACE_MAX, max(0.0, token.expires_at - refresh_at) / 2)
        return refresh_at + grace * (0.5 + self._jitter() / 2)

    def _pause(self, now: float) -> float:
        token = self.live(now)
        remaining = token.expires_at - now if token else 0.0
        return min(PAUSE_MAX, max(PAUSE_MIN, PAUSE_SHARE * remaining))

    def _backoff(self, failures: int, error: MintonceError | None = None) -> float:
        return backoff(failures, error, self._jitter)


def backoff(failures: int, error: MintonceError | None, jitter: Callable[[], float] = random.random) -> float:
    """Seconds until the next try: full jitter, on top of what the server asked for."""
    asked = min((error and error.retry_after) or 0.0, RETRY_AFTER_MAX)
    return asked + jitter() * min(BACKOFF_MAX, BACKOFF_BASE * 2.0**failures)
