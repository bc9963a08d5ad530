"""A token that is always at hand, for threads."""

import atexit
import os
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from types import TracebackType
from typing import Literal, Self

import grpc

from mintonce import _channel, _wire
from mintonce._connection import must_own
from mintonce._follow import Fetch, Follower, Pause, Report, Watch
from mintonce.client import TokenClient
from mintonce.client import Watch as WatchCall
from mintonce.credentials import Bearer, Tls
from mintonce.errors import MintonceError, Unavailable, again, closed, no_successor
from mintonce.token import Token


class TokenSource:
    """One key's token, kept up to date by a thread of the source's own. Thread-safe. Use it in a `with`, or close it.

    The constructor returns when the first token is here, or raises MintonceError. From then on `get` and `token` read
    memory: no call, no lock. The server may restart or be away: the token is served to its true end.

    After a fork the child has the token but not the thread: make a source in each worker process instead.

    Args:
        client: the name under which the OAuth client is registered with the server.
        audience: the API that the token is for; "" for the issuer's default.
        scopes: of RFC 6749, section 3.3; their order does not matter.
        via: a TokenClient to share, which stays the caller's to close; or a target for a client of its own.
        tls, bearer, credentials: as those of TokenClient, when the source makes its own client.
        timeout: seconds that a call, or a wait in `get` and `reject`, may take.
    """

    def __init__(
        self,
        client: str,
        audience: str = "",
        scopes: Iterable[str] = (),
        *,
        via: TokenClient | str | None = None,
        tls: Tls | bool | None = None,
        bearer: Bearer | Literal[False] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float = _channel.DEFAULT_TIMEOUT,
    ) -> None:
        self._key = (client, audience, tuple(_wire.scopes_of(scopes)))
        self._timeout = timeout
        if isinstance(via, TokenClient):
            must_own(tls, bearer, credentials)
            self._client = via
        else:
            self._client = TokenClient(via, tls=tls, bearer=bearer, credentials=credentials)
        self._owns_client = self._client is not via
        try:
            first = self._fetch()
        except BaseException:  # Ctrl-C too: nobody else would close the channel
            self._release()
            raise
        self._state = Follower(first, monotonic())
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._watch_call: WatchCall | None = None
        self._closed = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name=f"mintonce-{client}", daemon=True)
        self._thread.start()
        # A daemon thread inside gRPC while the interpreter goes down may crash: end it before.
        atexit.register(self.close)

    def get(self, timeout: float | None = None) -> Token:
        """The live token: a memory read. If it is over, wait for a better one; raises TokenExpired, which says why."""
        token = self._state.token
        if token is not None and monotonic() < token.expires_at:
            return token
        return self._await_live(timeout)

    def token(self) -> Token:
        """As `get`, but never waits."""
        token = self._state.token
        if token is not None and monotonic() < token.expires_at:
            return token
        raise self._dead()

    def header(self) -> str:
        """ "Bearer …", the value of an Authorization header. As `get`."""
        return self.get().header

    def reject(self, token: Token, timeout: float | None = None) -> Token:
        """A resource server refused the token (401): the successor, when it is there.

        However many threads say so, the server hears it once a generation; who comes late gets the successor at once.
        Raises MintonceError: the report was refused (the token stays in use), or no successor came in time.
        """
        generation, state = token.generation, self._state
        self._must_run()
        with self._changed:
            newer = state.successor(generation, monotonic())
            if newer is not None:
                return newer
            state.want_report(generation, monotonic())
            seen = state.report_setbacks
            self._kick()
            self._wait(lambda: state.successor(generation, monotonic()) or state.report_setbacks != seen, timeout)
            newer = state.successor(generation, monotonic())
            if newer is not None:
                return newer
            self._must_run()
            raise again(state.report_error) if state.report_setbacks != seen and state.report_error else no_successor()

    def wait_until_updated(self, than: Token, timeout: float | None = None) -> Token:
        """Wait for a newer token than the given one. Raises Unavailable when none comes in time."""
        with self._changed:
            self._wait(lambda: self._state.successor(than.generation, monotonic()) is not None, timeout)
            newer = self._state.successor(than.generation, monotonic())
        if newer is None:
            self._must_run()
            raise no_successor()
        return newer

    def close(self) -> None:
        """End the thread, and the client if it is the source's own. Waits for a call under way, up to its timeout."""
        atexit.unregister(self.close)
        if self._pid != os.getpid():
            return  # The parent's thread, locks and channel: nothing here is this process's to end.
        with self._changed:
            self._closed = True
            self._kick()
            self._changed.notify_all()
        self._release()
        self._thread.join(self._timeout + 1.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _await_live(self, timeout: float | None) -> Token:
        state = self._state
        self._must_run()
        with self._changed:
            state.hurry(monotonic())
            seen = state.setbacks
            self._kick()
            self._wait(lambda: state.live(monotonic()) or state.setbacks != seen, timeout)
            token = state.live(monotonic())
            if token is None:
                raise self._dead()
            return token

    def _dead(self) -> MintonceError:
        self._must_run()
        return self._state.expired()

    def _must_run(self) -> None:
        if self._closed:
            raise closed("source")
        if not self._thread.is_alive():
            raise Unavailable(
                "the source's thread is not here: it was made before a fork, or the interpreter is going down",
                reason="NO_THREAD",
                remedy="Make the source in each worker process, after the fork.",
            )

    def _wait(self, done: Callable[[], object], timeout: float | None) -> None:
        """With the lock held."""
        self._changed.wait_for(lambda: self._closed or done(), self._timeout if timeout is None else timeout)

    def _kick(self) -> None:
        """With the lock held: make the thread look again, whatever it waits for."""
        self._wake.set()
        if self._watch_call is not None:
            self._watch_call.cancel()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            with self._changed:
                if self._closed:
                    return
                step = self._state.next(monotonic())
            match step:
                case Report(generation):
                    self._do_report(generation)
                case Fetch():
                    self._do_fetch()
                case Watch(limit):
                    self._do_watch(limit)
                case Pause(seconds):
                    self._wake.wait(seconds)

    def _do_report(self, generation: int) -> None:
        try:
            self._client.reject(*self._key, generation=generation, timeout=self._timeout)
        except MintonceError as error:
            self._tell(self._state.report_failed, error)
        else:
            self._tell(self._state.reported)

    def _do_fetch(self) -> None:
        try:
            token = self._fetch()
        except MintonceError as error:
            self._tell(self._state.fetch_failed, error)
        else:
            self._tell(self._state.fetched, token)

    def _do_watch(self, limit: float) -> None:
        started_at, failure = monotonic(), None
        try:
            with self._client.watch(*self._key, timeout=limit) as call:
                self._hold(call)
                for token in call:
                    self._tell(self._state.offer, token)
        except MintonceError as error:
            failure = error
        self._hold(None)
        self._tell(self._state.watch_ended, failure, started_at, limit)

    def _hold(self, call: WatchCall | None) -> None:
        with self._changed:
            self._watch_call = call
            if call is not None and self._wake.is_set():
                call.cancel()

    def _tell(self, change: Callable[..., object], *what: object) -> None:
        with self._changed:
            change(*what, monotonic())
            self._changed.notify_all()

    def _fetch(self) -> Token:
        return self._client.get(*self._key, timeout=self._timeout)

    def _release(self) -> None:
        if self._owns_client:
            self._client.close()
