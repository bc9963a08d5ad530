"""A token that is always at hand, for asyncio. `make gen` makes source.py from this file."""

# ruff: noqa: ASYNC109 - a `timeout` is the deadline of the gRPC call, and must mean the same in both halves

from collections.abc import Callable, Iterable
from time import monotonic
from traceback import clear_frames
from types import TracebackType
from typing import Literal, Self

import grpc

from mintonce import _asyncio as _io
from mintonce import _channel, _wire
from mintonce._connection import must_own
from mintonce._follow import Fetch, Follower, Pause, Report, Watch, backoff
from mintonce.aio import AsyncTokenClient
from mintonce.aio import AsyncWatch as WatchCall
from mintonce.credentials import Bearer, Tls
from mintonce.errors import MintonceError, Unreachable, again, closed, known, no_successor
from mintonce.token import Token


class AsyncTokenSource(_io.Forks):
    # --- async
    """One key's token, kept up to date by a task of the source's own.

    Use it in an `async with`, or `await AsyncTokenSource.open(…)` and close it. Either way it is ready when the first
    token is here, or raises MintonceError. From then on `get` and `token` read memory: no call, no lock. The server may
    restart or be away: the token is served until it expires. `token` and `header` may be called from any thread, the
    rest from the loop's.

    Args: as those of TokenSource; `via` is an AsyncTokenClient, or a target.
    """

    # --- sync
    # """One key's token, kept up to date by a thread of the source's own. Thread-safe. Use it in a `with`, or close it.
    #
    # The constructor returns when the first token is here, or raises MintonceError. From then on `get` and `token` read
    # memory: no call, no lock. The server may restart or be away: the token is served until it expires.
    #
    # After a fork, the parent's goes on, and the child's starts a thread and a channel of its own at its first use.
    #
    # Args:
    #     client: the name under which the OAuth client is registered with the server.
    #     audience: the API that the token is for; "" for the issuer's default.
    #     scopes: of RFC 6749, section 3.3; their order does not matter.
    #     via: a TokenClient to share, which stays the caller's to close; or a target for a client of its own.
    #     tls, bearer, credentials: as those of TokenClient, when the source makes its own client.
    #     timeout: seconds that a call, or a wait in `get` and `reject`, may take.
    #     wait_for_server: seconds to wait here for a server that is not there yet, as when a whole system starts. Other
    #         errors end the wait at once. By default there is none.
    # """
    # --- both

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
        wait_for_server: float = 0.0,
    ) -> None:
        self._key = (client, audience, tuple(_wire.scopes_of(scopes)))
        self._timeout = timeout
        self._wait_for_server = wait_for_server
        self._via = via
        if isinstance(via, AsyncTokenClient):
            must_own(tls, bearer, credentials)
        self._tls = tls
        self._bearer: Bearer | Literal[False] | None = bearer
        self._credentials = credentials
        self._renew_locks()
        self._watch_call: WatchCall | None = None
        self._client: AsyncTokenClient | None = None
        self._follower: Follower | None = None
        self._worker: _io.Worker | None = None
        self._closed = False
        self._home = _io.Home("source")
        self._run_number = 0
        self._paused = False
        # --- sync
        # self._start()
        # _io.forking.remember_source(self)
        # _io.forking.rest()
        # --- async

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
        wait_for_server: float = 0.0,
    ) -> Self:
        """A source that is ready. Close it when done."""
        source = cls(
            client,
            audience,
            scopes,
            via=via,
            tls=tls,
            bearer=bearer,
            credentials=credentials,
            timeout=timeout,
            wait_for_server=wait_for_server,
        )
        return await source.__aenter__()

    # --- both

    async def get(self, timeout: float | None = None) -> Token:
        """The live token: a memory read. Waits for a successor if it has expired; raises TokenExpired if none comes."""
        follower = self._follower
        token = follower.token if follower else None
        if token is not None and monotonic() < token.expires_at:
            return token
        return await self._await_live(timeout)

    def token(self) -> Token:
        """As `get`, but never waits."""
        follower = self._follower
        token = follower.token if follower else None
        if token is not None and monotonic() < token.expires_at:
            return token
        # --- async
        raise self._dead()
        # --- sync
        # return self._live_or_dead()
        # --- both

    # --- async

    def header(self) -> str:
        """ "Bearer …", the value of an Authorization header. As `token`."""
        return self.token().header

    # --- sync
    # def header(self) -> str:
    #     """ "Bearer …", the value of an Authorization header. As `get`."""
    #     return self.get().header
    #
    # --- both
    async def reject(self, token: Token, timeout: float | None = None) -> Token:
        """Report that a resource server refused the token (401). Returns the successor when it is here.

        The server gets one report for each generation, however many callers report it; later callers get the successor
        at once. Raises MintonceError: the report was refused (the token stays in use), or no successor came in time.
        """
        self._must_run()
        self._home.enter()
        generation, state = token.generation, self._state
        with self._changed:
            newer = state.successor(generation, monotonic())
            if newer is not None:
                return newer
            state.want_report(generation, monotonic())
            seen = state.report_setbacks
            self._kick()
            await self._wait(lambda: state.successor(generation, monotonic()) or state.report_setbacks != seen, timeout)
            self._must_run()
            newer = state.successor(generation, monotonic())
            if newer is not None:
                return newer
            raise again(state.report_error) if state.report_setbacks != seen and state.report_error else no_successor()

    async def wait_until_updated(self, than: Token, timeout: float | None = None) -> Token:
        """Wait for a newer token than the given one. Raises Unavailable when none comes in time."""
        self._must_run()
        self._home.enter()
        state = self._state
        with self._changed:
            await self._wait(lambda: state.successor(than.generation, monotonic()) is not None, timeout)
            self._must_run()
            newer = state.successor(than.generation, monotonic())
        if newer is None:
            raise no_successor()
        return newer

    async def aclose(self) -> None:
        """End the task, and the client if it is the source's own. Later reads raise Closed."""
        self._closed = True
        self._follower = None  # it holds the token that `get` and `token` read
        if self._home.is_gone:
            return
        if self._worker is None or not self._worker.is_foreign:
            with self._changed:
                self._kick()
                self._changed.notify_all()
        if self._worker is not None:
            await self._worker.stop(self._release, self._timeout + 1.0)

    async def __aenter__(self) -> Self:
        # --- async
        self._must_be_open()
        if self._worker is None:
            await self._start()
        # --- both
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _start(self) -> None:
        via = self._via
        if isinstance(via, AsyncTokenClient):
            self._client = via
        else:
            self._client = AsyncTokenClient(via, tls=self._tls, bearer=self._bearer, credentials=self._credentials)
        try:
            # --- sync
            # _io.forking.must_have_threads()
            # --- both
            self._home.enter()
            first = await self._first(self._client)
            self._must_be_open()
        except BaseException:  # cancellation and Ctrl-C, too: nothing else would close the channel
            await self._release()
            raise
        self._follower = Follower(first, monotonic())
        self._work()

    def _renew_locks(self) -> None:
        self._changed = _io.Changes()
        self._wake = _io.Event()

    def _work(self) -> None:
        number = self._run_number
        self._worker = _io.Worker(lambda: self._run(number), f"mintonce-{self._key[0]}", self.aclose)

    async def _first(self, client: AsyncTokenClient) -> Token:
        """Tries again, if so wished, while there is no server."""
        give_up_at, failures = monotonic() + self._wait_for_server, 0
        while True:
            try:
                return await self._fetch(client)
            except MintonceError as error:
                left = give_up_at - monotonic()
                if left <= 0 or not (isinstance(error, Unreachable) or error.reason == "DRAINING"):
                    raise
                failures += 1
                pause = min(left, backoff(failures, error))
            await _io.pause(self._wake, pause)
            self._must_be_open()

    @property
    def _state(self) -> Follower:
        if self._follower is None:
            raise closed("source")
        return self._follower

    async def _await_live(self, timeout: float | None) -> Token:
        self._must_run()
        self._home.enter()
        state = self._state
        with self._changed:
            # --- sync
            # if (token := state.live(monotonic())) is not None:
            #     return token  # the parent's, at the first use in a child
            # --- both
            state.hurry(monotonic())
            seen = state.setbacks
            self._kick()
            await self._wait(lambda: state.live(monotonic()) or state.setbacks != seen, timeout)
            self._must_run()
            token = state.live(monotonic())
            if token is None:
                raise state.expired()
            return token

    # --- async
    def _dead(self) -> MintonceError:
        self._must_run()
        return self._state.expired()

    # --- sync
    # def _live_or_dead(self) -> Token:
    #     self._must_run()
    #     token = self._state.live(monotonic())  # the parent's, at the first use in a child
    #     if token is None:
    #         raise self._state.expired()
    #     return token
    #
    # --- both

    def _must_be_open(self) -> None:
        if self._closed:
            raise closed("source")

    def _must_run(self) -> None:
        self._must_be_open()
        # --- async
        self._home.must_be_open()
        if self._worker is None:
            raise closed("source")
        self._worker.must_run()
        # --- sync
        # if self._worker is None or self._worker.is_foreign:
        #     self._adopt()
        # --- both

    async def _wait(self, done: Callable[[], object], timeout: float | None) -> None:
        """With the lock held."""
        await self._changed.wait_for(lambda: self._closed or done(), self._timeout if timeout is None else timeout)

    def _kick(self) -> None:
        """With the lock held: make the worker look again, whatever it waits for."""
        self._wake.set()
        if self._watch_call is not None:
            self._watch_call.cancel()

    async def _run(self, number: int) -> None:
        client, state = self._client, self._state
        assert client is not None  # noqa: S101 - for type checkers: `_start` has set it
        while True:
            self._wake.clear()
            with self._changed:
                if self._closed or number != self._run_number:
                    return
                step = state.next(monotonic())
            match step:
                case Report(generation):
                    await self._do_report(client, state, generation)
                case Fetch():
                    await self._do_fetch(client, state)
                case Watch(limit):
                    await self._do_watch(client, state, limit)
                case Pause(seconds):
                    await _io.pause(self._wake, seconds)

    async def _do_report(self, client: AsyncTokenClient, state: Follower, generation: int) -> None:
        try:
            await client.reject(*self._key, generation=generation, timeout=self._timeout)
        except Exception as error:  # noqa: BLE001 - nothing unforeseen ends the worker
            if not self._paused:
                self._update(state.report_failed, _kept(error))
        else:
            self._update(state.reported, generation)

    async def _do_fetch(self, client: AsyncTokenClient, state: Follower) -> None:
        try:
            token = await self._fetch(client)
        except Exception as error:  # noqa: BLE001 - nothing unforeseen ends the worker
            if not self._paused:
                self._update(state.fetch_failed, _kept(error))
        else:
            self._update(state.fetched, token)

    async def _do_watch(self, client: AsyncTokenClient, state: Follower, limit: float) -> None:
        started_at, failure = monotonic(), None
        try:
            async with client.watch(*self._key, timeout=limit) as call:
                self._hold(call)
                async for token in call:
                    self._update(state.offer, token)
        except Exception as error:  # noqa: BLE001 - nothing unforeseen ends the worker
            failure = None if self._paused else _kept(error)
        self._hold(None)
        self._update(state.watch_ended, failure, started_at, limit)

    def _hold(self, call: WatchCall | None) -> None:
        with self._changed:
            self._watch_call = call
            if call is not None and self._wake.is_set():
                call.cancel()

    def _update(self, change: Callable[..., object], *what: object) -> None:
        with self._changed:
            change(*what, monotonic())
            self._changed.notify_all()

    async def _fetch(self, client: AsyncTokenClient) -> Token:
        return await client.get(*self._key, timeout=self._timeout)

    async def _release(self) -> None:
        if self._client is not None and self._client is not self._via:
            await self._client.close()


def _kept(error: Exception) -> MintonceError:
    """An error that the source keeps, without what the calls held: a channel would never be let go of."""
    clear_frames(error.__traceback__)
    return known(error)
