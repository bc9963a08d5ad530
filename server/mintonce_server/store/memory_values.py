"""What a MemoryServer stores and answers. All times are whole ms; `exp` is by its clock since 1970."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mintonce_server.core.ports import Failure
from mintonce_server.store.record import Payload


@dataclass(slots=True)
class Record:
    """The hash `:t`."""

    f: int
    exp: int
    cv: int
    leeway: int
    cap: int
    payload: Payload
    fingerprint: str
    provisional: int


@dataclass(slots=True)
class Held:
    """The hash `:l`, with the end of its TTL."""

    nonce: str
    f: int
    ends: int


@dataclass(slots=True)
class Meta:
    """The hash `:m`, with the end of its TTL."""

    ends: int
    f: int = 0
    bar: int = 0
    cv: int = 0
    n: int = 0
    until: int = 0
    until_cv: int = 0
    failure: Failure | None = None
    refused: dict[str, tuple[int, Failure]] = field(default_factory=dict[str, tuple[int, Failure]])
    """By credential: until when, and the failure."""
    rejected: int | None = None
    rejected_as: int = 0
    rejected_print: str = ""
    rejected_at: int = 0


@dataclass(slots=True)
class MemoryEntry:
    """The three hashes of one key."""

    meta: Meta
    record: Record | None = None
    lease: Held | None = None

    def copy(self) -> "MemoryEntry":
        """An independent copy."""
        return MemoryEntry(
            replace(self.meta, refused=dict(self.meta.refused)),
            self.record and replace(self.record),
            self.lease and replace(self.lease),
        )


class MemoryRow(NamedTuple):
    """A record as returned to a reader. `remaining` counts from the read."""

    f: int
    remaining: int
    exp: int
    payload: Payload


class Found(NamedTuple):
    """ACQUIRE: HIT."""

    row: MemoryRow


class Known(NamedTuple):
    """What a lease says of the previous token: fingerprints of the rejected and the live one, and the live one's ms."""

    rejected_print: str
    live_print: str
    live_left: int


class Granted(NamedTuple):
    """ACQUIRE: LEASE."""

    f: int
    ms: int
    failures: int
    known: Known
    now: int


class Busy(NamedTuple):
    """ACQUIRE: WAIT."""

    ms: int


class Denied(NamedTuple):
    """ACQUIRE: BACKOFF."""

    failure: Failure
    ms: int
    row: MemoryRow | None


class Rejected(NamedTuple):
    """REJECT: CURRENT, with the store's generation."""

    f: int


class TooSoon(NamedTuple):
    """REJECT and BARRIER: TOO_SOON."""

    ms: int


class Unknown(NamedTuple):
    """REJECT: UNKNOWN."""
