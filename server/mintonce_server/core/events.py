"""What happens, as values. The engine sends them to a sink that logs and audits. None can hold a secret."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from mintonce_server.core.errors import IssuerError, Reason
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Refusal
from mintonce_server.core.quota import QuotaWindow


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a key. `key_hash` is the key's name in the store."""

    key_hash: str

    @classmethod
    def logged(cls) -> Sequence[str]:
        """The attributes that the log line shows."""
        return [field.name for field in fields(cls)]


class Cause(StrEnum):
    """Why a mint was needed."""

    ABSENT = "absent"
    EXPIRING = "expiring"
    REFRESH = "refresh"
    REJECTED = "rejected"
    ROTATION = "rotation"
    OUTAGE = "outage"


@dataclass(frozen=True, slots=True)
class MintStarted(Event):
    """The POST begins: with a lease, or (Cause.OUTAGE) without the store and under a provisional generation."""

    client: str
    generation: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Minted(Event):
    """The issuer gave a token, after `seconds`, that lives `lifetime` seconds.

    Attributes:
        fingerprint: of the token's text, see `Secret.fingerprint`.
        request_id: what the issuer calls this exchange, "" if it does not say.
        scopes, audience: what was granted, see core.token.Minted.
    """

    key: TokenKey
    generation: int
    cause: Cause
    seconds: float
    lifetime: float
    fingerprint: str
    request_id: str
    scopes: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()

    @classmethod
    def logged(cls) -> Sequence[str]:
        return ("key_hash", "client", "generation", "seconds", "lifetime")

    @property
    def client(self) -> str:
        """The name of the OAuth client."""
        return self.key.client


@dataclass(frozen=True, slots=True)
class MintFailed(Event):
    """The issuer gave none, after `seconds`. `posted`: False if it was not even asked, because too many POSTs run."""

    key: TokenKey
    generation: int
    cause: Cause
    seconds: float
    error: IssuerError
    posted: bool

    @classmethod
    def logged(cls) -> Sequence[str]:
        own = ("reason", "issuer_error", "issuer_said", "detail", "remedy", "retry_after")
        return ("key_hash", "client", "generation", "seconds", *own)

    @property
    def issuer_said(self) -> str:
        """The issuer's own words, for the log alone."""
        return self.error.said

    @property
    def client(self) -> str:
        """The name of the OAuth client."""
        return self.key.client

    @property
    def reason(self) -> Reason:
        """See core.errors."""
        return self.error.reason

    @property
    def issuer_error(self) -> str:
        """The issuer's own code, or ""."""
        return self.error.issuer_error

    @property
    def detail(self) -> str:
        """What happened."""
        return str(self.error)

    @property
    def remedy(self) -> str:
        """What a person can do."""
        return self.error.remedy

    @property
    def retry_after(self) -> float:
        """No replica tries again for so many seconds."""
        return self.error.retry_after or 0.0


@dataclass(frozen=True, slots=True)
class Committed(Event):
    """The token is in the store for all."""

    generation: int


@dataclass(frozen=True, slots=True)
class CommitRefused(Event):
    """The token does not count."""

    generation: int
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class LeaseLost(Event):
    """Another replica got the lease before the POST: nothing was minted."""

    generation: int


@dataclass(frozen=True, slots=True)
class Waited(Event):
    """Another replica held the lease. After `seconds`, its token was here.

    `result`: served; or minted, when this replica got the lease after all; or failed, when there was a back-off. Then
    `generation` is 0.
    """

    generation: int
    seconds: float
    result: str = "served"


@dataclass(frozen=True, slots=True)
class Refreshing(Event):
    """A token's successor is due since `lag` seconds, and is fetched now."""

    client: str
    lag: float


@dataclass(frozen=True, slots=True)
class Refreshed(Event):
    """The successor is here, while the old token has `lead` seconds left."""

    client: str
    lead: float


@dataclass(frozen=True, slots=True)
class Rejected(Event):
    """A resource server refused this generation, says `caller`."""

    generation: int
    was_current: bool
    caller: str = ""
    client: str = ""


@dataclass(frozen=True, slots=True)
class RejectedTooSoon(Event):
    """A rejection was refused, because the last one of this key is too fresh."""

    client: str


@dataclass(frozen=True, slots=True)
class Repeated(Event):
    """The issuer gave the token that is stored already, with the same end. It is not asked again before that."""

    client: str
    generation: int


@dataclass(frozen=True, slots=True)
class Reissued(Event):
    """The issuer handed out the rejected token again: it stands by it, so it is served, marked degraded.

    `rejected_by`: the caller, if this replica took the rejection.
    """

    client: str
    generation: int
    rejected_by: str


@dataclass(frozen=True, slots=True)
class BarrierRaised(Event):
    """The store had lost the rejection of this generation and has it again."""

    generation: int


@dataclass(frozen=True, slots=True)
class Adopted(Event):
    """A token that is in use got another number of the store's, in place of `provisional`.

    It was minted without the store, or a store that had lost its data had numbered it below a rejection.
    """

    generation: int
    provisional: int


@dataclass(frozen=True, slots=True)
class Unforeseen(Event):
    """An exception that the code does not expect. What it hit counts as failed for now; all else goes on.

    `where`: an operation of a port, or a background task.
    """

    where: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Restored(Event):
    """The store had lost the token, or never got it, and has it back."""

    generation: int


@dataclass(frozen=True, slots=True)
class StoreFailed(Event):
    """The store did not answer. `minting`: this replica goes on alone for now."""

    detail: str
    minting: bool


@dataclass(frozen=True, slots=True)
class QuotaSaid(Event):
    """The issuer said something about its quotas, with a token or an error."""

    client: str
    windows: tuple[QuotaWindow, ...]

    @classmethod
    def logged(cls) -> Sequence[str]:
        return ("key_hash", "client", "said")

    @property
    def said(self) -> str:
        """In one line."""
        return ", ".join(f"{window.name}: {window.remaining} of {window.limit} left" for window in self.windows)


@dataclass(frozen=True, slots=True)
class BudgetReached(Event):
    """A client has used this share of a budget. `window`: "month" or "day". Once a level, and again after an hour."""

    client: str
    window: str
    percent: int
    used: int
    budget: int


@dataclass(frozen=True, slots=True)
class CountsHeldUp(Event):
    """What is counted for a client waits, because its counter in the store is unusable. Once, and again each hour."""

    client: str
    detail: str
    remedy: str


EventSink = Callable[[Event], None]
