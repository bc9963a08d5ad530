"""The issuer: it keeps the truth about every token, and errs in every way that issuer/ can report."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from simulate.loop import OUTSIDE, SimulatedLoop

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import IssuerError, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Minted
from mintonce_server.issuer.response import Answer, read_answer
from support.endpoints import request_context

TIMEOUT: Final = 10.0
"""Seconds for one exchange, as the setting's default has it."""


class Mode(StrEnum):
    """How it answers."""

    WELL = "well"
    REFUSES = "refuses"  # 400, 401, 403: for 30 s no replica asks again
    THROTTLES = "throttles"  # 429 with a Retry-After
    THROTTLES_BARELY = "throttles without saying for how long"
    BUSY = "503 with a Retry-After"
    BROKEN = "500"
    REDIRECTS = "302"
    BABBLES = "a page instead of JSON"
    FORGETS = "no expires_in"
    LIES = "an expires_in that is no number"
    HANGS = "no answer"
    SLOW = "an answer after seconds"
    HANGS_UP = "a connection that breaks after the request"
    UNREACHABLE = "no connection"
    DEAD_ON_ARRIVAL = "tokens that are over before the answer arrives"
    REPEATS = "the same token again until it ends"
    THROWS = "an exception that the port does not know"


@dataclass(frozen=True, slots=True)
class Issued:
    """The truth about a token. Times are the simulation's."""

    text: str
    key: TokenKey
    at: float
    ends: float


@dataclass
class Issuer:
    """One server for all keys."""

    loop: SimulatedLoop
    chance: random.Random
    mode: Mode = Mode.WELL
    retry_after: int = 5
    lifetimes: dict[TokenKey, float] = field(default_factory=dict[TokenKey, float])
    issued: dict[str, Issued] = field(default_factory=dict[str, Issued])
    latest: dict[TokenKey, Issued] = field(default_factory=dict[TokenKey, Issued])

    def answer(self, key: TokenKey) -> tuple[float, Answer | None]:
        """To a request that arrives now: after so many seconds, what; None: never, or a broken connection."""
        draw = self.chance.random
        delay = 0.005 + 0.1 * draw()
        retry = {"retry-after": str(self.retry_after)}
        match self.mode:
            case Mode.REFUSES:
                status, code = self.chance.choice([(400, "invalid_scope"), (401, "invalid_client"), (403, "")])
                return delay, _answer(status, {"error": code} if code else {})
            case Mode.THROTTLES:
                return delay, _answer(429, {}, retry)
            case Mode.THROTTLES_BARELY:
                return delay, _answer(429, {"error": "slow_down"})
            case Mode.BUSY:
                return delay, _answer(503, {}, retry)
            case Mode.BROKEN:
                return delay, _answer(500, {})
            case Mode.REDIRECTS:
                return delay, _answer(302, {}, {"location": "https://elsewhere.example.com/"})
            case Mode.BABBLES:
                return delay, Answer(200, {}, b"<html>hello</html>")
            case Mode.HANGS:
                self._issue(key)
                return TIMEOUT * 10, None
            case Mode.HANGS_UP:
                self._issue(key)
                return delay, None
            case Mode.SLOW:
                return 1.0 + 8.5 * draw(), self._token(key)
            case Mode.DEAD_ON_ARRIVAL:
                return self.lifetimes[key] + 0.05 if self.lifetimes[key] < 8 else delay, self._token(key)
            case _:
                return delay, self._token(key)

    def _token(self, key: TokenKey) -> Answer:
        issued = self._issue(key)
        fields: dict[str, object] = {"access_token": issued.text, "token_type": "bearer"}
        left = round(issued.ends - self.loop.now, 3)
        if self.mode is Mode.LIES:
            fields["expires_in"] = "soon"
        elif self.mode is not Mode.FORGETS:
            fields["expires_in"] = left if self.chance.random() < 0.5 else str(left)
        return _answer(200, fields)

    def _issue(self, key: TokenKey) -> Issued:
        last = self.latest.get(key)
        if self.mode is Mode.REPEATS and last and last.ends > self.loop.now + 0.002:
            return last
        # The text says only its number: no two are alike, and a trace that shows one says which.
        now = self.loop.now
        issued = Issued(f"token-{len(self.issued) + 1}", key, now, now + self.lifetimes[key])
        self.issued[issued.text] = self.latest[key] = issued
        return issued


def _answer(status: int, fields: dict[str, object], headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, headers or {}, json.dumps(fields).encode() if fields else b"")


Posted = Callable[[TokenKey], "Post"]


class Post:
    """Told of what becomes of one POST."""

    def ended(self, minted: Minted | None, error: BaseException | None) -> None:
        """Once, when its caller knows."""


class IssuerEdge:
    """Implements core.ports.Issuer for one replica, and reads answers by the shipped code."""

    def __init__(self, issuer: Issuer, clock: Clock, loop: SimulatedLoop, posted: Posted) -> None:
        self._issuer = issuer
        self._clock = clock
        self._loop = loop
        self._posted = posted

    def proof(self) -> str:
        return "the only one"

    async def mint(self, key: TokenKey) -> Minted:
        """One POST."""
        started_at = self._clock.monotonic()
        post = self._posted(key)
        try:
            minted = await self._exchange(key, started_at)
        except BaseException as error:
            post.ended(None, error)
            raise
        post.ended(minted, None)
        return minted

    async def _exchange(self, key: TokenKey, started_at: float) -> Minted:
        if self._issuer.mode is Mode.THROWS:
            raise ZeroDivisionError("an exception that the port does not know")
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await self._answer(key)
        except TimeoutError as error:
            raise _unavailable("no answer in time") from error
        asked = request_context("issuer.example.com", key.scopes, started_at, self._clock.unix(), default_lifetime=None)
        return read_answer(answer, asked)

    async def _answer(self, key: TokenKey) -> Answer:
        answer: asyncio.Future[Answer] = self._loop.create_future()
        if self._issuer.mode is Mode.UNREACHABLE:
            raise _unavailable("no connection")
        self._loop.call_later(0.001 + 0.01 * self._issuer.chance.random(), self._arrive, key, answer, context=OUTSIDE)
        return await answer

    def _arrive(self, key: TokenKey, answer: "asyncio.Future[Answer]") -> None:
        delay, what = self._issuer.answer(key)
        self._loop.call_later(delay, _settle, answer, what, context=OUTSIDE)


def _settle(answer: "asyncio.Future[Answer]", what: Answer | None) -> None:
    if answer.done():
        return
    if what is None:
        answer.set_exception(_unavailable("the connection broke"))
    else:
        answer.set_result(what)


def _unavailable(message: str) -> IssuerError:
    return IssuerUnavailable(message, remedy="Wait.")
