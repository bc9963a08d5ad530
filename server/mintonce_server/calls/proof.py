"""Who calls: proven when a call begins, and again after what proofs are checked against has changed."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from mintonce_server.common.clock import Clock
from mintonce_server.core.caller import ANONYMOUS, Caller
from mintonce_server.core.errors import Unauthenticated

Identify = Callable[[bytes | None, Sequence[str], bytes], Caller]
"""From the PEM of the verified client certificate, the values of `authorization`, and the PEM of the certificates
between the first one and its authority. Raises Unauthenticated."""

Version = Callable[[], int]
"""Another number each time that API keys, signing keys or authorities have changed."""

UNCHANGING: Final[Version] = lambda: 0  # noqa: E731 - a function in one line, typed


class Shown(Protocol):
    """What a caller shows, of a transport."""

    def metadata(self) -> Sequence[tuple[str, str | bytes]]: ...
    def certificates(self) -> tuple[bytes | None, bytes]: ...


class Proof:
    """What a caller showed. Kept as long as the call, to be checked again."""

    __slots__ = (
        "_authorization", "_caller", "_certificate", "_chain", "_clock", "_identify", "_version", "_version_of",
    )  # fmt: skip

    def __init__(self, identify: Identify | None, version: Version, clock: Clock, shown: Shown) -> None:
        """Raises Unauthenticated."""
        self._identify = identify
        self._version_of = version
        self._clock = clock
        self._caller = ANONYMOUS
        if identify is None:
            return
        self._certificate, self._chain = shown.certificates()
        self._authorization = [str(value) for name, value in shown.metadata() if name == "authorization"]
        self._version = version()
        self._caller = identify(self._certificate, self._authorization, self._chain)
        self.seconds_left()

    @property
    def caller(self) -> Caller:
        return self._caller

    def check(self) -> float | None:
        """The seconds that it still holds; None: no end is known. Raises Unauthenticated when it does not."""
        if self._identify is not None and (version := self._version_of()) != self._version:
            caller = self._identify(self._certificate, self._authorization, self._chain)
            if caller.name != self._caller.name:
                raise Unauthenticated("the proof of identity is now another caller's", remedy="Connect again.")
            self._caller, self._version = caller, version
        return self.seconds_left()

    def seconds_left(self) -> float | None:
        """None: no end is known. Raises Unauthenticated when it has expired."""
        if self._caller.valid_until is None:
            return None
        left = self._caller.valid_until - self._clock.unix()
        if left <= 0:
            raise Unauthenticated(
                "the proof of identity has expired", remedy="Connect again with the renewed certificate or token."
            )
        return left
