"""Who calls: proven when a call begins, and again when what proofs are held against has changed."""

from collections.abc import Callable, Sequence
from typing import Final

from mintonce_server.api.context import Context
from mintonce_server.core.caller import ANONYMOUS, Caller
from mintonce_server.core.errors import Unauthenticated
from mintonce_server.core.ports import Clock

Identify = Callable[[bytes | None, Sequence[str], bytes], Caller]
"""From the PEM of the verified client certificate, the values of `authorization`, and the PEM of the certificates
between the first one and its authority. Raises Unauthenticated."""

Version = Callable[[], int]
"""Another number each time that API keys, signing keys or authorities have changed."""

UNCHANGING: Final[Version] = lambda: 0  # noqa: E731 - a function in one line, typed


class Proof:
    """What a caller showed. It stays for as long as the call, since it may have to be looked at again."""

    __slots__ = (
        "_authorization", "_caller", "_certificate", "_chain", "_clock", "_identify", "_version", "_version_of",
    )  # fmt: skip

    def __init__(self, identify: Identify | None, version: Version, clock: Clock, context: Context) -> None:
        """Raises Unauthenticated."""
        self._identify = identify
        self._version_of = version
        self._clock = clock
        self._caller = ANONYMOUS
        if identify is None:
            return
        shown = context.auth_context()
        self._certificate = b"".join(tuple(shown.get("x509_pem_cert") or ())[:1]) or None
        self._chain = b"".join(tuple(shown.get("x509_pem_cert_chain") or ())[:1])
        metadata = context.invocation_metadata() or ()
        self._authorization = [str(value) for name, value in metadata if name == "authorization"]
        self._version = version()
        self._caller = identify(self._certificate, self._authorization, self._chain)
        self.seconds_left()

    @property
    def caller(self) -> Caller:
        return self._caller

    def check(self) -> float | None:
        """Whether it still holds: the seconds that it will, or None. Raises Unauthenticated."""
        if self._identify is not None and (version := self._version_of()) != self._version:
            caller = self._identify(self._certificate, self._authorization, self._chain)
            if caller.name != self._caller.name:
                raise Unauthenticated("the proof of identity is now another caller's", remedy="Connect again.")
            self._caller, self._version = caller, version
        return self.seconds_left()

    def seconds_left(self) -> float | None:
        """None: for ever. Raises Unauthenticated when it is over."""
        if self._caller.valid_until is None:
            return None
        left = self._caller.valid_until - self._clock.unix()
        if left <= 0:
            raise Unauthenticated(
                "the proof of identity has expired", remedy="Connect again with the renewed certificate or token."
            )
        return left
