"""One tree of errors. Each says what happened, why (a `Reason`), and what a person can do about it (a remedy)."""

from enum import StrEnum
from typing import ClassVar

from mintonce_server.core.quota import QuotaWindow


class Reason(StrEnum):
    """Why a call failed. The names are those of the ErrorReason enum in protos/mintonce/v1/types.proto."""

    INVALID_REQUEST = "INVALID_REQUEST"
    UNKNOWN_CLIENT = "UNKNOWN_CLIENT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    ISSUER_REFUSED = "ISSUER_REFUSED"
    ISSUER_THROTTLED = "ISSUER_THROTTLED"
    ISSUER_UNAVAILABLE = "ISSUER_UNAVAILABLE"
    ISSUER_MALFORMED = "ISSUER_MALFORMED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    ROTATION_TOO_SOON = "ROTATION_TOO_SOON"
    WAIT_TIMED_OUT = "WAIT_TIMED_OUT"
    DRAINING = "DRAINING"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    AUDIT_UNAVAILABLE = "AUDIT_UNAVAILABLE"
    INTERNAL = "INTERNAL"
    BUDGET_USED_UP = "BUDGET_USED_UP"


class MintonceError(Exception):
    """The root. Neither the message nor the remedy ever holds a secret.

    Attributes:
        remedy: a sentence for a person.
        retry_after: seconds after which a later try may succeed; None when a repetition is pointless.
    """

    reason: ClassVar[Reason] = Reason.INTERNAL

    def __init__(self, message: str, *, remedy: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.retry_after = retry_after

    @property
    def remedy_for_callers(self) -> str:
        """The remedy, where it is for those who run the server: what a caller can do."""
        return self.remedy


class InvalidRequest(MintonceError):
    """A field is malformed. `field`: its name, where one is to blame."""

    reason = Reason.INVALID_REQUEST

    def __init__(self, message: str, *, remedy: str, retry_after: float | None = None, field: str = "") -> None:
        super().__init__(message, remedy=remedy, retry_after=retry_after)
        self.field = field


class UnknownClient(MintonceError):
    """No OAuth client is registered under the name."""

    reason = Reason.UNKNOWN_CLIENT


class Unauthenticated(MintonceError):
    """The caller proved no identity, or gave a proof that does not hold. The message says why, never the proof."""

    reason = Reason.UNAUTHENTICATED


class PermissionDenied(MintonceError):
    """The policy does not allow it to the caller, or the client may not have a token for this audience."""

    reason = Reason.PERMISSION_DENIED


class IssuerError(MintonceError):
    """A mint failed. `issuer_error` is the issuer's own code (RFC 6749, section 5.2), or "" if it gave none."""

    reason = Reason.ISSUER_UNAVAILABLE

    def __init__(self, message: str, *, remedy: str, retry_after: float | None = None, issuer_error: str = "") -> None:
        super().__init__(message, remedy=remedy, retry_after=retry_after)
        self.issuer_error = issuer_error
        self.request_id = ""
        """What the issuer calls the exchange, if it says."""
        self.said = ""
        """What the issuer says in its own words: for the server's log, never for callers."""
        self.of_issuer = False
        """It is the issuer's trouble, so it does not count as a failure of the key's own."""
        self.of_client = False
        """It refuses the client itself: no other key of this client gets a token with this credential."""
        self.quota: tuple[QuotaWindow, ...] = ()
        """What the issuer said about its quotas."""


class IssuerRefused(IssuerError):
    """The issuer refused this client, audience or scope. Trying again does not help until a setting is corrected."""

    reason = Reason.ISSUER_REFUSED


class IssuerThrottled(IssuerError):
    """The issuer limits the rate (429). `retry_after` is what it asked for, clamped."""

    reason = Reason.ISSUER_THROTTLED


class IssuerUnavailable(IssuerError):
    """No connection, no answer in time, or a 5xx."""

    reason = Reason.ISSUER_UNAVAILABLE


class IssuerMalformed(IssuerError):
    """The answer is not a token response: not JSON, too large, a redirect, a field missing or of the wrong type."""

    reason = Reason.ISSUER_MALFORMED


class StoreUnavailable(MintonceError):
    """The store did not answer in time, or refused.

    `partial`: the store has several parts, and only the one with this key is known to be in trouble.
    """

    reason = Reason.STORE_UNAVAILABLE

    def __init__(self, message: str, *, remedy: str, retry_after: float | None = None, partial: bool = False) -> None:
        super().__init__(message, remedy=remedy, retry_after=retry_after)
        self.partial = partial


class UnusableCounter(StoreUnavailable):
    """One counter of the fleet cannot be used, because something else wrote its key. The store works otherwise.

    `name`: of the key in the store.
    """

    def __init__(self, name: str, *, retry_after: float) -> None:
        super().__init__(
            f"the key {name} in the store holds no counter: something else than Mintonce wrote it",
            remedy=f"Delete it there: DEL '{name}'. Find out what wrote it: only Mintonce may write such keys.",
            retry_after=retry_after,
            partial=True,
        )
        self.name = name


class RotationTooSoon(MintonceError):
    """The key was rotated less than the minimum interval ago."""

    reason = Reason.ROTATION_TOO_SOON


class WaitTimedOut(MintonceError):
    """The caller's deadline came before the token. The mint goes on for the others."""

    reason = Reason.WAIT_TIMED_OUT


class LimitExceeded(MintonceError):
    """This caller, or this client, uses more than its share. Others are served all the same.

    `quota`: of what: calls, keys, mints, rejects or watches.
    """

    reason = Reason.LIMIT_EXCEEDED

    def __init__(self, message: str, *, remedy: str, retry_after: float, quota: str = "calls") -> None:
        super().__init__(message, remedy=remedy, retry_after=retry_after)
        self.quota = quota


class BudgetUsedUp(MintonceError):
    """The client's token budget is used up, and the mint is not needed by a caller."""

    reason = Reason.BUDGET_USED_UP


class AuditUnavailable(MintonceError):
    """The audit log cannot be written, so nothing is handed out. The remedy names the file on the server."""

    reason = Reason.AUDIT_UNAVAILABLE

    @property
    def remedy_for_callers(self) -> str:
        return "Try again later. The server's log says what those who run it must do."


class Draining(MintonceError):
    """This replica is shutting down."""

    reason = Reason.DRAINING


class Foreign(Exception):
    """Stands for a library's exception whose text may quote a peer or a secret: keeps its type and its traceback."""

    @classmethod
    def of(cls, error: BaseException) -> "Foreign":
        kind = type(error)
        return cls(f"{kind.__module__}.{kind.__qualname__}, its text left out").with_traceback(error.__traceback__)
