"""A token that is always at hand, for asyncio. The twin of source.py: what they decide is in _follow.py."""

# ruff: noqa: ASYNC109 - a `timeout` is the deadline of the gRPC call, and must mean the same as in the sync twin

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic
from types import TracebackType
from typing import Literal, Self

import grpc

from mintonce import _channel, _wire
from mintonce._connection import must_own
from mintonce._follow import Fetch, Follower, Pause, Report, Watch
from mintonce.aio import AsyncTokenClient, AsyncWatch
from mintonce.credentials import Bearer, Tls
from mintonce.errors import MintonceError, again, closed, no_successor
from mintonce.token import Token


class AsyncTokenSource:
    """One key's token, kept up to date by a task of the source's own.

    Use it in an `async with`, or `await AsyncTokenSource.open(…)` and close it. Either way it is ready when the first
    token is here, or raises MintonceError. From then on `get` and `token` read memory: no call, no lock. The server may
    restart or be away: the token is served to its true end. `token` and `header` may be called from any thread, the
    rest from the loop's.

    Args: as those of TokenSource; `via` is an AsyncTokenClient, or a target.
    """

    def __init__(
        self,
        client: str,
        audience: str = "",
        scopes: Iterable[str] = (),
        *,
        via: AsyncTokenClient | str | None = None,
        tls: Tls | bool | None = None,
        bearer: Bearer | Literal[False] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float = _channel.DEFAULT_TIMEOUT,
    ) -> None:
        self._key = (client, audience, tuple(_wire.scopes_of(scopes)))
        self._timeout = timeout
        self._via = via
        if isinstance(via, AsyncTokenClient):
            must_own(tls, bearer, credentials)
        self._tls = tls
        self._bearer: Bearer | Literal[False] | None = bearer
        self._credentials = credentials
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self._watch_call: AsyncWatch | None = None
        self._task: asyncio.Task[None] | None = None
        self._opened: tuple[AsyncTokenClient, Follower] | None = None
        self._closed = False

    @classmethod
    async def open(
        cls,
        client: str,
        audience: str = "",
        scopes: Iterable[str] = (),
        *,
        via: AsyncTokenClient | str | None = None,
        tls: Tls | bool | None = None,
        bearer: Bearer | Literal[False] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float = _channel.DEFAULT_TIMEOUT,
    ) -> Self:
        """A source that is ready. Close it when done."""
        source = cls(
            client, audience, scopes, via=via, tls=tls, bearer=bearer, credentials=credentials, timeout=timeout
        )
        return await source.__aenter__()

    async def get(self, timeout: float | None = None) -> Token:
        """The live token: a memory read. If it is over, wait for a better one; raises TokenExpired, which says why."""
        state = self._state
        token = state.token
        if token is not None and monotonic() < token.expires_at:
            return token
        self._must_run()
        state.hurry(monotonic())
        seen = state.setbacks
        self._kick()
        await self._wait(lambda: state.live(monotonic()) or state.setbacks != seen, timeout)
        return self.token()

    def token(self) -> Token:
        """As `get`, but never waits."""
        token = self._state.token
        if token is not None and monotonic() < token.expires_at:
            return token
        self._must_run()
        raise self._state.expired()

    def header(self) -> str:
        """ "Bearer …", the value of an Authorization header. As `token`."""
        return self.token().header

    async def reject(self, token: Token, timeout: float | None = None) -> Token:
        """A resource server refused the token (401): the successor, when it is there.

        However many tasks say so, the server hears it once a generation; who comes late gets the successor at once.
        Raises MintonceError: the report was refused (the token stays in use), or no successor came in time.
        """
        self._must_run()
        generation, state = token.generation, self._state
        newer = state.successor(generation, monotonic())
        if newer is not None:
            return newer
        state.want_report(generation, monotonic())
        seen = state.report_setbacks
        self._kick()
        await self._wait(lambda: state.successor(generation, monotonic()) or state.report_setbacks != seen, timeout)
        newer = state.successor(generation, monotonic())
        if newer is not None:
            return newer
        self._must_run()
        raise again(state.report_error) if state.report_setbacks != seen and state.report_error else no_successor()

    async def wait_until_updated(
        self,
        than: Token,
        timeout: float | None = None,
    ) -> Token:
        """Wait for a newer token than the given one. Raises Unavailable when none comes in time."""
        state = self._state
        await self._wait(lambda: state.successor(than.generation, monotonic()) is not None, timeout)
        newer = state.successor(than.generation, monotonic())
        if newer is None:
            self._must_run()
            raise no_successor()
        return newer

    async def aclose(self) -> None:
        """End the task, and the client if it is the source's own."""
        self._closed = True
        self._notify()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._opened is not None and self._opened[0] is not self._via:
            await self._opened[0].close()

    async def __aenter__(self) -> Self:
        if self._closed:
            raise closed("source")
        if self._opened is None:
            await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _start(self) -> None:
        via = self._via
        if isinstance(via, AsyncTokenClient):
            client = via
        else:
            client = AsyncTokenClient(via, tls=self._tls, bearer=self._bearer, credentials=self._credentials)
        try:
            first = await client.get(*self._key, timeout=self._timeout)
        except BaseException:  # cancellation too: nobody else would close the channel
            if client is not via:
                await client.close()
            raise
        state = Follower(first, monotonic())
        self._opened = client, state
        self._task = asyncio.create_task(self._run(client, state), name=f"mintonce-{self._key[0]}")

    @property
    def _state(self) -> Follower:
        if self._opened is None:
            raise closed("source")
        return self._opened[1]

    def _must_run(self) -> None:
        if self._closed or self._task is None or self._task.done():
            raise closed("source")

    async def _wait(self, done: Callable[[], object], seconds: float | None) -> None:
        try:
            async with asyncio.timeout(self._timeout if seconds is None else seconds):
                while not (self._closed or done()):
                    await self._changed.wait()
        except TimeoutError:
            return  # The caller looks at what there is now, and says so.

    def _kick(self) -> None:
        """Make the task look again, whatever it waits for."""
        self._wake.set()
        if self._watch_call is not None:
            self._watch_call.cancel()

    def _notify(self) -> None:
        passed, self._changed = self._changed, asyncio.Event()
        passed.set()

    async def _run(self, client: AsyncTokenClient, state: Follower) -> None:
        while True:
            self._wake.clear()
            match state.next(monotonic()):
                case Report(generation):
                    await self._do_report(client, state, generation)
                case Fetch():
                    await self._do_fetch(client, state)
                case Watch(limit):
                    await self._do_watch(client, state, limit)
                case Pause(seconds):
                    await self._pause(seconds)
            self._notify()

    async def _do_report(self, client: AsyncTokenClient, state: Follower, generation: int) -> None:
        try:
            await client.reject(*self._key, generation=generation, timeout=self._timeout)
        except MintonceError as error:
            state.report_failed(error, monotonic())
        else:
            state.reported(monotonic())

    async def _do_fetch(self, client: AsyncTokenClient, state: Follower) -> None:
        try:
            token = await client.get(*self._key, timeout=self._timeout)
        except MintonceError as error:
            state.fetch_failed(error, monotonic())
        else:
            state.fetched(token, monotonic())

    async def _do_watch(self, client: AsyncTokenClient, state: Follower, limit: float) -> None:
        started_at, failure = monotonic(), None
        try:
            async with client.watch(*self._key, timeout=limit) as self._watch_call:
                async for token in self._watch_call:
                    state.offer(token, monotonic())
                    self._notify()
        except MintonceError as error:
            failure = error
        finally:
            self._watch_call = None
        state.watch_ended(failure, started_at, limit, monotonic())

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return  # The usual end of a pause.
