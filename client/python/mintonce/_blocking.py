"""Where the two halves of the client differ, for threads. `_asyncio.py` has the same names for asyncio."""

import atexit
import os
import threading
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Final, Self

import grpc

from mintonce import _channel, _forking, _gevent, _source_forks

Channel = grpc.Channel
Event = threading.Event
Forks = _source_forks.Forks
forking = _forking

CHANNEL_CLOSED: Final = (ValueError,)
"""What gRPC raises for calls on a channel that another thread has just closed."""


def open_channel(target: str, credentials: grpc.ChannelCredentials | None, options: _channel.Options) -> Channel:
    _gevent.prepare()
    if credentials is None:
        return grpc.insecure_channel(target, options=options)
    return grpc.secure_channel(target, credentials, options=options)


def is_being_cancelled() -> bool:
    """Never: a thread cannot be cancelled."""
    return False


def pause(wake: Event, seconds: float) -> None:
    """Until the event is set, at most so long."""
    wake.wait(seconds)


class Changes:
    """A condition variable. Enter it to hold its lock."""

    def __init__(self) -> None:
        self._condition = threading.Condition()

    def wait_for(self, done: Callable[[], object], seconds: float) -> None:
        """With the lock held: until `done()` is true, at most so long. The caller looks at what there is then."""
        self._condition.wait_for(done, seconds)

    def notify_all(self) -> None:
        """With the lock held: have all who wait look again."""
        self._condition.notify_all()

    def __enter__(self) -> Self:
        self._condition.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._condition.__exit__(kind, error, at)


class Home:
    """Where something may be used: anywhere. The other half is bound to an event loop."""

    def __init__(self, what: str) -> None:
        pass

    def enter(self) -> None:
        """Nothing to do."""

    def must_be_open(self) -> None:
        """Nothing to do."""

    is_gone: Final = False


class Worker:
    """The thread of a source."""

    def __init__(self, run: Callable[[], None], name: str, close: Callable[[], None]) -> None:
        """`close` is called at the exit of the interpreter: a daemon thread inside gRPC may crash then."""
        self._close = close
        self._pid = os.getpid()
        self._thread = threading.Thread(target=run, name=name, daemon=True)
        self._thread.start()
        atexit.register(close)

    @property
    def is_foreign(self) -> bool:
        """Whether this process is a child, forked later: thread, locks and channel are its parent's."""
        return self._pid != os.getpid()

    def pause(self, give_up_at: float) -> None:
        """Wait for the end of the thread, which has been told."""
        atexit.unregister(self._close)
        self._thread.join(max(0.0, give_up_at - monotonic()))

    def stop(self, release: Callable[[], None], seconds: float) -> None:
        """Release what the thread uses, which ends its calls, and wait for its end for so many seconds."""
        atexit.unregister(self._close)
        release()
        if not self.is_foreign:
            self._thread.join(seconds)
