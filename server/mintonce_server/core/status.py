"""What the status page shows, as values. Pure: no part of it can hold a token, its hash, or a secret.

Times are seconds relative to the moment of the snapshot: `…_in` lies ahead, `…_ago` behind. None: not known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, cast

from mintonce_server.core.events import Cause
from mintonce_server.core.key import TokenKey

VERSION: Final = 1
"""Of the JSON form. It rises when a field goes or changes its meaning, not when one is added."""
MOST_KEYS: Final = 200
MINUTES: Final = 60
"""How many minutes the pictures show."""


class Level(StrEnum):
    """How things stand. TROUBLE is what a person must look at."""

    WELL = "well"
    NOTICE = "notice"
    TROUBLE = "trouble"


class State(StrEnum):
    """How a key stands in this replica; what needs a person most comes first.

    Attributes:
        FAILING: no live token, and the last mint failed.
        REJECTED: its token was rejected, and there is no other yet.
        BACK_OFF: a live token, and the mint of its successor failed.
        DEGRADED: a live token, not confirmed by the store or not as good as wanted.
        WAITING: no live token yet; it is being fetched.
        REFRESHING: a live token, and its successor is being fetched.
        DUE: a live token whose refresh has been due for some seconds.
        LIVE: a live token.
        IDLE: no live token, and no caller waits for one.
    """

    FAILING = "failing"
    REJECTED = "rejected"
    BACK_OFF = "back-off"
    DEGRADED = "degraded"
    WAITING = "waiting"
    REFRESHING = "refreshing"
    DUE = "due"
    LIVE = "live"
    IDLE = "idle"


STATES: Final = tuple(State)


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys the page shows. "" lets all through. `find`: a part of the audience, a scope or the key's hash."""

    client: str = ""
    state: str = ""
    find: str = ""

    def lets(self, key: TokenKey, key_hash: str, state: State) -> bool:
        """Whether the key is shown."""
        if self.client not in ("", key.client) or self.state not in ("", state):
            return False
        part = self.find.casefold()
        return not part or any(part in text.casefold() for text in (key.audience, *key.scopes, key_hash))


@dataclass(frozen=True, slots=True)
class KeyFailure:
    """What failed last for a key, here. `at`, `retry_at`: on the monotonic clock; 0: not known."""

    at: float
    retry_at: float
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should know, in words.

    Attributes:
        runbook: where the runbook says what to do, a URL; "" for nowhere.
    """

    level: Level
    text: str
    remedy: str = ""
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that something took in the last five minutes. `count`: how many times, of those that are remembered."""

    p50: float | None = None
    p99: float | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """A failure: `ago` is the last one's, `since` the first one's since something succeeded.

    `retry_in`: when the next try comes. `lasting`: nothing has succeeded since.
    """

    ago: float
    since: float
    reason: str
    issuer_error: str = ""
    detail: str = ""
    remedy: str = ""
    retry_in: float | None = None
    lasting: bool = True


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key in this replica. `generation` is 0 without a live token."""

    key_hash: str
    client: str
    audience: str
    scopes: tuple[str, ...]
    state: State
    generation: int = 0
    ends_in: float | None = None
    refresh_in: float | None = None
    watchers: int = 0
    asked_ago: float | None = None
    is_wanted: bool = False
    retry_in: float | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """Some keys: those in the most trouble first, then those whose tokens end first.

    Attributes:
        rows: at most 200.
        matched: how many keys the filter lets through; `total`: how many there are.
        by_state: how many keys are in each state.
        by_life: how many live tokens have so much life left, by the buckets of LIVES.
        refreshes_in: when the next refreshes are due, at most 200, soonest first.
    """

    rows: tuple[KeyRow, ...] = ()
    matched: int = 0
    total: int = 0
    by_state: Mapping[State, int] = field(default_factory=dict[State, int])
    by_life: tuple[int, ...] = ()
    refreshes_in: tuple[float, ...] = ()


LIVES: Final = (60.0, 600.0, 3600.0, 21_600.0, 86_400.0)
"""Bounds of `Keys.by_life`, in seconds. The last bucket is for more."""


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One registered client, as this replica knows it."""

    name: str
    issuer: str
    keys: int = 0
    live: int = 0
    watchers: int = 0
    soonest_end_in: float | None = None
    posts: int = 0
    served: int | None = None
    succeeded_ago: float | None = None
    failed: Failed | None = None
    latency: Latency = Latency()
    failures: int = 0


@dataclass(frozen=True, slots=True)
class IssuerRow:
    """One issuer, as this replica knows it. `posts` and `failures`: since the start."""

    name: str
    succeeded_ago: float | None = None
    failed: Failed | None = None
    latency: Latency = Latency()
    posts: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class StoreView:
    """The store. `is_up`: None before it was asked. `detail`: why it is away. `wake_lag`: from a change to its wake."""

    address: str = ""
    is_up: bool | None = None
    away_for: float | None = None
    detail: str = ""
    latency: Latency = Latency()
    wake_ago: float | None = None
    wake_lag: Latency = Latency()


@dataclass(frozen=True, slots=True)
class TokenEndpointView:
    """The token endpoint of this replica. `listen`: "" for none."""

    listen: str = ""
    requests_per_second: float | None = None
    errors_per_second: float | None = None
    in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """The replica that answers. Requests to the token endpoint are among its calls."""

    name: str = ""
    version: str = ""
    up_for: float = 0.0
    is_draining: bool = False
    calls_per_second: float | None = None
    errors_per_second: float | None = None
    in_flight: int | None = None
    in_flight_limit: int | None = None
    watches: int | None = None
    loop_lag: float | None = None
    memory_bytes: int | None = None
    token_endpoint: TokenEndpointView = TokenEndpointView()


@dataclass(frozen=True, slots=True)
class FleetRow:
    """A replica that runs, by its heartbeat in the store. `started`: seconds since 1970, by its own clock."""

    id: str
    address: str = ""
    version: str = ""
    started: float | None = None
    is_this: bool = False


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """Tokens that a client used, and may use.

    Attributes:
        period: month or day for a budget of our settings; the issuer's own word for a quota that it tells.
        used: by the whole fleet.
        budget: None for none.
        forecast: by the end of the period.
        is_quota: the issuer says so, and refuses more.
        saved: tokens that the fleet handed out in the month without a request to the issuer; None in other rows.
    """

    name: str
    period: str
    used: int
    budget: int | None = None
    forecast: int | None = None
    is_quota: bool = False
    saved: int | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened here lately."""

    ago: float
    kind: str
    level: Level = Level.WELL
    key_hash: str = ""
    client: str = ""
    text: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A value that is loaded from files. `refused`: why its last change is not in use, "" if it is."""

    name: str
    loaded_ago: float | None = None
    refused: str = ""
    remedy: str = ""
    ends_in: float | None = None


@dataclass(frozen=True, slots=True)
class CallerRow:
    """A caller that was denied something. `name`: "" for callers that proved no identity."""

    name: str
    denials: int
    ago: float
    why: str = ""
    act: str = ""


@dataclass(frozen=True, slots=True)
class Mints:
    """POSTs of this replica a minute, oldest first, 60 of each; the last minute is not over."""

    by_cause: Mapping[Cause, tuple[int, ...]] = field(default_factory=dict[Cause, tuple[int, ...]])
    failed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """All of it. `as_of`: seconds since 1970 by this host's clock."""

    as_of: float
    replica: ReplicaView = ReplicaView()
    findings: tuple[Finding, ...] = ()
    store: StoreView = StoreView()
    issuers: tuple[IssuerRow, ...] = ()
    clients: tuple[ClientRow, ...] = ()
    mints: Mints = field(default_factory=Mints)
    keys: Keys = field(default_factory=Keys)
    fleet: tuple[FleetRow, ...] = ()
    budget: tuple[BudgetRow, ...] = ()
    callers: tuple[CallerRow, ...] = ()
    events: tuple[EventRow, ...] = ()
    files: tuple[FileRow, ...] = ()

    @property
    def level(self) -> Level:
        """The worst of the findings."""
        levels = {finding.level for finding in self.findings}
        return next((level for level in (Level.TROUBLE, Level.NOTICE) if level in levels), Level.WELL)

    @property
    def sentence(self) -> str:
        """How things stand, in one sentence."""
        troubles = [finding for finding in self.findings if finding.level is Level.TROUBLE]
        if not troubles:
            return "All is well."
        return f"{len(troubles)} {'thing needs' if len(troubles) == 1 else 'things need'} you."


def as_json(snapshot: StatusSnapshot) -> dict[str, Any]:
    """The JSON form, of types that `json.dumps` knows. Seconds are rounded to microseconds."""
    body = {"v": VERSION, "level": snapshot.level, "sentence": snapshot.sentence, **asdict(snapshot)}
    rounded: dict[str, Any] = _rounded(body)
    return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {str(name): _rounded(each) for name, each in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in cast("Sequence[object]", value)]
    return value
