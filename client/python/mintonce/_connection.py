"""The channel of a client, replaced when the files that its credentials are made of change."""

import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar

import grpc

from mintonce import _channel, _forking, _sendable, _trace, _translate, _unreachable
from mintonce._files import Watched
from mintonce._local import is_local
from mintonce.credentials import Bearer, Tls, authorization, bearer_from, tls_from, unusable
from mintonce.errors import MintonceError, Unavailable


class Line(Protocol):
    """What a connection knows of a line."""

    channel: Any


L = TypeVar("L", bound=Line)
"""A line: a channel and the stubs on it. Who makes a call holds on to it meanwhile."""

Dial: TypeAlias = Callable[[str, grpc.ChannelCredentials | None, _channel.Options], L]
Metadata: TypeAlias = tuple[tuple[str, str], ...]
TlsChoice: TypeAlias = Tls | bool | None
BearerChoice: TypeAlias = Bearer | Literal[False] | None

_NO_PROXY: Final = ("grpc.enable_http_proxy", 0)


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach the server. `credentials`: gRPC's own, excluding `tls`. `is_given`: by the caller's own channel."""

    target: str
    tls: Tls | None = None
    bearer: Bearer | None = None
    credentials: grpc.ChannelCredentials | None = None
    is_given: bool = False

    @property
    def is_secured(self) -> bool:
        return self.tls is not None or self.credentials is not None


def way(
    target: str | None,
    channel: object | None,
    credentials: grpc.ChannelCredentials | None,
    tls: TlsChoice,
    bearer: BearerChoice,
) -> Way:
    """What was said, and for what was not, what the environment says. Raises Refused for what cannot be used."""
    if channel is not None:
        if credentials is not None or tls or bearer:
            raise ValueError("a given channel has its own credentials: give it, or credentials=, tls= and bearer=")
        return Way("the given channel", is_given=True)
    if credentials is not None and tls:
        raise ValueError("give either tls= or credentials=")
    if tls is None and credentials is None:
        tls = tls_from(os.environ)
    elif isinstance(tls, bool):
        tls = Tls() if tls else None
    if tls and tls.server_name:
        _sendable.text("server_name", tls.server_name)
    bearer = bearer_from(os.environ) if bearer is None else (bearer or None)
    chosen = Way(_channel.resolve_target(target), tls, bearer, credentials)
    if bearer and not chosen.is_secured and not is_local(chosen.target):
        raise unusable(
            f"a bearer would travel in clear to {chosen.target}",
            "Use TLS: set MINTONCE_CA_FILE (or MINTONCE_TLS=true for the authorities of this host), --ca-file or "
            "tls=Tls(…). In clear it goes only to a Unix socket or to loopback.",
        )
    return chosen


def must_own(tls: object, bearer: object, credentials: object) -> None:
    """A source that shares a client cannot change how that one connects."""
    if tls is not None or bearer is not None or credentials is not None:
        raise ValueError("give tls=, bearer= and credentials= to the client that the source shares")


class Connection(Generic[L]):
    """Gives each call its line and its metadata. Thread-safe.

    A replaced line lives as long as calls or watches hold on to it: its channel closes when it is let go.
    """

    def __init__(self, chosen: Way, dial: Dial[L]) -> None:
        # Imported here: who speaks in clear needs no ssl.
        from mintonce import _tls

        self.target = chosen.target
        self._link = _link(chosen)
        self._way = chosen
        self._dial = dial
        self._lock = threading.RLock()
        self._pid = self._made_in = os.getpid()
        self._is_held = False
        self._bearer = _watched_bearer(chosen.bearer)
        self._followed = _tls.watched(chosen.tls) if chosen.tls else None
        self._credentials = self._followed.current() if self._followed else chosen.credentials
        self._lines: weakref.WeakSet[Any] = weakref.WeakSet()
        self._line: L | None = self._open()

    def line(self) -> L:
        """The one for new calls. A look at the files, at most once a second."""
        if self._pid != os.getpid():
            self._adopt()
        credentials = self._followed.current() if self._followed is not None else self._credentials
        line = self._line
        if line is None or credentials is not self._credentials:
            with self._lock:
                line = self._line
                if line is None or credentials is not self._credentials:
                    self._credentials = credentials
                    self._line = line = self._open()
        return line

    def _before_fork(self, give_up_at: float) -> None:
        """Close the channel unless a call is under way. No other opens until the fork is done. For threads only."""
        if self._pid != os.getpid():
            return
        self._is_held = self._lock.acquire(timeout=max(0.0, give_up_at - monotonic()))
        if self._way.is_given or self._line is None:
            return
        channel, self._line = self._line.channel, None
        if not self._lines:  # nothing has let go of the line later than we: no call is under way
            channel.close()

    def _after_fork_in_parent(self) -> None:
        """The next call opens a channel."""
        if self._is_held:
            self._lock.release()

    def _after_fork_in_child(self) -> None:
        """As in the parent; channels that had calls stay the parent's."""
        self._adopt()

    def _rest(self) -> None:
        """The next call opens a channel, wherever that is."""
        self._after_fork_in_parent()

    def _adopt(self) -> None:
        """Make what a parent had this process's own. The parent's channels are never touched again."""
        with _forking.lock:
            if self._pid == os.getpid():
                return
            _forking.abandon([self._line, *self._lines])
            self._lock, self._lines, self._line = threading.RLock(), weakref.WeakSet(), None
            for each in (self._bearer, self._followed):
                if each is not None:
                    each.after_fork()
            self._pid = os.getpid()

    def metadata(self) -> Metadata | None:
        """What goes with a call."""
        bearer = () if self._bearer is None else (("authorization", self._bearer.current()),)
        return (*bearer, *_trace.context()) or None

    def lines(self) -> list[L]:
        """Those that are still open, for who closes them."""
        if self._pid != os.getpid():
            self._adopt()
        with self._lock:
            return list(self._lines)

    def translate(self, error: grpc.RpcError) -> MintonceError:
        """What a failed call means. Raise the result `from None`."""
        return _translate.translate(error, self._link)

    def _open(self) -> L:
        if self._way.is_given and self._pid != self._made_in:
            raise Unavailable(
                "the given channel was made before a fork",
                reason="FORKED",
                remedy="Make the channel and its client in each process, after the fork, or give a target.",
            )
        if self._pid != self._made_in:
            _forking.must_be_possible()
        options = _channel.OPTIONS
        name = self._way.tls.server_name if self._way.tls else None
        if name:
            options = (*options, ("grpc.ssl_target_name_override", name), ("grpc.default_authority", name))
        if not self._way.is_secured and is_local(self.target):
            # http_proxy would lead even loopback, and a bearer with it, to another host.
            options = (*options, _NO_PROXY)
        line = self._dial(self.target, self._credentials, options)
        self._lines.add(line)
        return line


def _watched_bearer(bearer: Bearer | None) -> Watched[str] | None:
    if bearer is None:
        return None
    path = os.fspath(bearer.path)
    return Watched(
        (path,),
        lambda contents: authorization(contents[0], path),
        "The file must hold one bearer token or API key and nothing else: see MINTONCE_BEARER_FILE and "
        "MINTONCE_API_KEY_FILE, their --options, or bearer=….",
    )


def _link(chosen: Way) -> _unreachable.Link:
    tls = chosen.tls
    return _unreachable.Link(
        chosen.target,
        tls=None if chosen.is_given else chosen.is_secured,
        server_name=(tls.server_name or "") if tls else "",
        # gRPC's own credentials do not say whether they have one.
        shows_certificate=chosen.credentials is not None or (tls is not None and tls.certificate_file is not None),
        may_use_proxy=chosen.is_secured or not is_local(chosen.target),
    )
