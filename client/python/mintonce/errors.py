"""What a caller can get as an error. Two questions matter: may a retry help, and what can a person do?"""

import copy
import logging

import grpc

_log = logging.getLogger("mintonce")


class MintonceError(Exception):
    """The root. Neither the message nor the remedy ever holds a token.

    gRPC's own error is no `__cause__` of it: a traceback would print what the other side wrote, unescaped.

    Attributes:
        reason: why, as in ErrorReason of the API without its prefix ("UNKNOWN_CLIENT"), or one of the client's own:
            UNREACHABLE, DEADLINE_EXCEEDED, TOKEN_EXPIRED, CLOSED, CREDENTIALS (they cannot be used, or must not be sent
            to that target), NO_THREAD, FORKED, GEVENT, EVENT_LOOP (the program's surroundings), or the name of a gRPC
            status without a reason.
        remedy: what a person can do about it, a sentence. Tracebacks show it.
        retry_after: seconds after which a later try may succeed; None if unknown.
        code: the gRPC status.
        issuer_error: the issuer's own code (RFC 6749, section 5.2); "" if it gave none.
        request_id: finds the call in the server's log; "" if the server gave none.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "INTERNAL",
        remedy: str = "",
        retry_after: float | None = None,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        issuer_error: str = "",
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.remedy = remedy
        self.retry_after = retry_after
        self.code = code
        self.issuer_error = issuer_error
        self.request_id = request_id
        if remedy:
            self.add_note(remedy)


class Refused(MintonceError):
    """Refused. A retry fails, too, until the request, the policy or the client's registration is corrected."""


class Unavailable(MintonceError):
    """There is no token now; a later try may succeed."""


class Unreachable(Unavailable):
    """No server answered at the target."""


class TokenExpired(Unavailable):
    """A source's token has expired or was rejected, and there is no successor. `__cause__` says why."""


class Closed(MintonceError):
    """The client or source was used after `close()`."""


def closed(what: str) -> Closed:
    """The error for a use after `close()`."""
    return Closed(
        f"the {what} is closed",
        reason="CLOSED",
        remedy=f"Keep the {what} open as long as it is used; close it last.",
        code=grpc.StatusCode.CANCELLED,
    )


def known(error: Exception) -> MintonceError:
    """The error itself, or what an unforeseen one becomes. The text of that stays out: it may quote anything."""
    if isinstance(error, MintonceError):
        return error
    unforeseen = MintonceError(
        f"the client failed with an unforeseen {type(error).__name__}",
        remedy="Please report this with the traceback; the client goes on.",
    )
    unforeseen.__cause__ = error
    _log.error("a call failed in a way that it never should: %s", type(error).__name__)
    return unforeseen


def again(error: MintonceError) -> MintonceError:
    """A copy of an error for one more caller. One object raised in many threads would collect their tracebacks."""
    fresh = copy.copy(error)
    fresh.__cause__ = error
    return fresh


def no_successor() -> Unavailable:
    """The error for a wait that has run out."""
    return Unavailable(
        "no successor of the token came in time",
        reason="DEADLINE_EXCEEDED",
        remedy="Allow more time, or look into the server's log.",
        code=grpc.StatusCode.DEADLINE_EXCEEDED,
    )
