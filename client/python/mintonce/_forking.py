"""Forks. gRPC survives one only where none of its threads is there, so what uses it stops before and goes on after.

Before a fork, sources end their threads and connections let go of their channels; then gRPC ends its own threads. After
it the parent's sources go on, and the child's start at their first use. Locks of other threads never come along.
A fork that does not go through Python's os.fork (uWSGI's) is noticed by the process id, at the next call.
"""

import atexit
import importlib
import os
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, Protocol

from mintonce.errors import MintonceError

STOP_TIMEOUT: Final = 2.0
"""Seconds that a fork waits for sources to stop. Their calls are cancelled, so it is a matter of milliseconds."""
END_TIMEOUT: Final = 5.0
"""Seconds that a fork waits for the end of gRPC's threads: milliseconds, but not on a busy machine. Another user of
gRPC in this process may keep them; then only the first fork waits so long."""
QUIET: Final = 10
"""Milliseconds without a thread of gRPC: it ends some and begins others while a channel goes."""
EXIT_TIMEOUT: Final = 0.5
"""The same at the end of the process."""

SWITCH: Final = "GRPC_ENABLE_FORK_SUPPORT"
_FALSE: Final = ("0", "false", "no", "off")
_TASKS: Final = Path("/proc/self/task")
_GRPC_THREAD: Final = "event_engine"


class Forked(Protocol):
    """What must know of a fork."""

    def _before_fork(self, give_up_at: float) -> None: ...
    def _after_fork_in_parent(self) -> None: ...
    def _after_fork_in_child(self) -> None: ...
    def _rest(self) -> None: ...


lock = threading.RLock()
"""Of what is known here, and of children that make it theirs. Use it as `_forking.lock`: a child has another one."""
_sources: "weakref.WeakSet[Any]" = weakref.WeakSet()
_connections: "weakref.WeakSet[Any]" = weakref.WeakSet()
_stopped: list[Forked] = []
_abandoned: list[object] = []
_older_threads: set[str] = set()
"""Of other libraries, by id: they were there before our first channel."""
_is_registered = False
_others_use_grpc = False
_was_clean = False
"""Whether none of gRPC's threads ran at the fork that is being made, or made this process."""


def remember_source(source: Forked) -> None:
    """Stopped before connections are."""
    with lock:
        _sources.add(source)


def remember_connection(connection: Forked) -> None:
    """Stopped when no source uses it any more."""
    global _is_registered  # noqa: PLW0603 - of the process
    with lock:
        _connections.add(connection)
        # Not before: handlers run last one first, and gRPC registers its own with the first channel. It waits for
        # threads that only end with our calls.
        if not _is_registered:
            _older_threads.update(_native_threads())
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
            # Python stops daemon threads where they are, and gRPC then waits for locks that they hold, or crashes.
            atexit.register(_at_exit)
            _is_registered = True


def abandon(objects: list[Any]) -> None:
    """Keep what is the parent's for ever: its end, even by the garbage collector, would touch the parent's channel."""
    _abandoned.extend(objects)


def must_be_possible() -> None:
    """In a child: raises MintonceError where gRPC ran at the fork and has been told that there are none: it hangs."""
    if not _was_clean and os.environ.get(SWITCH, "").lower() in _FALSE:
        raise MintonceError(
            f"this was made before a fork, and {SWITCH} forbids gRPC to work after one",
            reason="FORKED",
            remedy=f"Remove {SWITCH} from the environment, or make the source or client after the fork.",
        )


def must_have_threads() -> None:
    """Raises MintonceError in a uWSGI that lets Python's threads run in requests only: no source could follow."""
    uwsgi = _uwsgi()
    if uwsgi is not None and not (uwsgi.opt.get("enable-threads") or uwsgi.opt.get("threads")):
        raise MintonceError(
            "uWSGI runs no threads in this process, and a source needs one",
            reason="NO_THREAD",
            remedy="Add this line to uWSGI's settings: enable-threads = true (or start it with --enable-threads).",
        )


def rest() -> None:
    """Stop everything where the next fork will not be seen: in uWSGI's master, which forks without Python's handlers.

    It starts again at its first use, in the worker.
    """
    uwsgi = _uwsgi()
    if uwsgi is not None and uwsgi.masterpid() and uwsgi.worker_id() == 0:
        _before()
        _after(lambda each: each._rest())  # noqa: SLF001 - theirs is for this file
        lock.release()


def _uwsgi() -> Any:
    """The module that uWSGI puts into its processes, and nothing else has."""
    return sys.modules.get("uwsgi") or (
        importlib.import_module("uwsgi") if "uwsgi" in sys.builtin_module_names else None
    )


def _before(end_timeout: float = END_TIMEOUT) -> None:
    global _was_clean  # noqa: PLW0603 - of the process
    lock.acquire()
    _stopped.clear()
    give_up_at = monotonic() + STOP_TIMEOUT
    for each in [*_sources, *_connections]:
        _stopped.append(each)
        each._before_fork(give_up_at)  # noqa: SLF001 - theirs is for this file
    if _stopped:
        _await_the_end_of_grpc(end_timeout)
    _was_clean = _TASKS.is_dir() and not _grpc_runs()


def _in_parent() -> None:
    global _was_clean  # noqa: PLW0603 - of the process
    _was_clean = False
    _after(lambda each: each._after_fork_in_parent())  # noqa: SLF001 - as above
    lock.release()


def _in_child() -> None:
    global lock  # noqa: PLW0603 - of the process
    lock = threading.RLock()
    _after(lambda each: each._after_fork_in_child())  # noqa: SLF001 - as above


def _after(do: Callable[[Forked], None]) -> None:
    while _stopped:
        do(_stopped.pop())  # the last one first: connections, then the sources that use them


def _at_exit() -> None:
    """As before a fork: nothing of ours may be in gRPC."""
    _before(EXIT_TIMEOUT)
    lock.release()


def _await_the_end_of_grpc(timeout: float) -> None:
    """gRPC ends its threads in the background when its last channel is gone, and has no call that waits for it."""
    global _others_use_grpc  # noqa: PLW0603 - of the process, as gRPC's threads are
    give_up_at = monotonic() + timeout
    quiet = 0
    while not _others_use_grpc and quiet < QUIET:
        quiet = 0 if _grpc_runs() or _calls_end() else quiet + 1
        _others_use_grpc = monotonic() >= give_up_at
        sleep(0.001)


def _grpc_runs() -> bool:
    """Whether threads of gRPC are there. One that is just beginning has the process's name, until it gets its own."""
    names = {_name_of(_TASKS / thread) for thread in _native_threads() - _older_threads}
    return bool(names & {_GRPC_THREAD, _name_of(_TASKS / str(os.getpid()))} - {""})


def _native_threads() -> set[str]:
    """Ids of the threads that are not Python's."""
    pythons = {str(thread.native_id) for thread in threading.enumerate()}
    try:
        return {task.name for task in _TASKS.iterdir()} - pythons
    except OSError:  # no /proc: not Linux
        return set()


def _calls_end() -> bool:
    """Whether a thread of grpcio still looks at calls of a channel that has been closed."""
    return any("channel_spin" in thread.name for thread in threading.enumerate())


def _name_of(task: Path) -> str:
    try:
        return (task / "comm").read_text().strip()
    except OSError:  # it has just ended
        return ""
