"""What a TokenSource does at a fork."""

import threading
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from mintonce import _forking

if TYPE_CHECKING:
    from mintonce._follow import Follower


class Forks:
    """A part of TokenSource, which has these attributes."""

    _via: Any
    _client: Any
    _worker: Any
    _watch_call: Any
    _changed: Any
    _wake: threading.Event
    _follower: "Follower | None"
    _inherited: "Follower | None" = None
    _closed: bool
    _paused: bool
    _run_number: int

    @abstractmethod
    def _kick(self) -> None: ...
    @abstractmethod
    def _work(self) -> None: ...
    @abstractmethod
    def _renew_locks(self) -> None: ...

    def _before_fork(self, give_up_at: float) -> None:
        """End the thread, which is in gRPC. The calls of threads that wait here go on."""
        if self._closed or self._worker is None or self._worker.is_foreign:
            return
        self._paused, self._run_number = True, self._run_number + 1
        with self._changed:
            self._kick()
        if self._client is not None and self._client is not self._via:
            for line in self._client._connection.lines():  # noqa: SLF001 - the source's own; another channel opens
                line.channel.close()
        self._worker.pause(give_up_at)

    def _after_fork_in_parent(self) -> None:
        """Go on."""
        if self._paused:
            self._paused = False
            if not self._closed:
                self._work()

    def _after_fork_in_child(self) -> None:
        """Have the first use take notice."""
        self._paused = False
        self._inherited, self._follower = self._follower, None

    def _rest(self) -> None:
        """As after a fork, before it."""
        self._after_fork_in_child()
        self._worker = None

    def _adopt(self) -> None:
        """In a child: go on with a thread and locks of its own, from the token that the parent had."""
        with _forking.lock:
            if self._worker is not None and not self._worker.is_foreign:
                return
            _forking.must_be_possible()
            self._renew_locks()
            self._watch_call = None
            self._follower = self._follower or self._inherited
            self._work()
