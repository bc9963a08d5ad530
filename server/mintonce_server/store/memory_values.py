"""What a MemoryServer keeps and answers. All times are whole ms; `exp` and `refresh` are by its clock since 1970."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Failure
from mintonce_server.core.secret import Secret


class Payload(NamedTuple):
    """The sealed part of a record: whose it is, and the token."""

    key: TokenKey
    access_token: Secret
    token_type: str
    granted: tuple[str, ...]


@dataclass(slots=True)
class Record:
    """The hash `:t`."""

    f: int
    exp: int
    refresh: int
    life: int
    cv: int
    leeway: int
    cap: int
    payload: Payload
    fingerprint: str


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
    rejected: int | None = None
    rejected_print: str = ""
    rejected_at: int = 0


@dataclass(slots=True)
class Entry:
    """The three hashes of one key."""

    meta: Meta
    record: Record | None = None
    lease: Held | None = None

    def copy(self) -> "Entry":
        """A replica of it, which changes no more."""
        return Entry(replace(self.meta), self.record and replace(self.record), self.lease and replace(self.lease))


class Row(NamedTuple):
    """A record as a reader sees it; `remaining` and `refresh_in` count from the read."""

    f: int
    remaining: int
    refresh_in: int
    exp: int
    life: int
    cv: int
    payload: Payload


class Found(NamedTuple):
    """ACQUIRE: HIT."""

    row: Row


class Granted(NamedTuple):
    """ACQUIRE: LEASE."""

    f: int
    ms: int
    failures: int
    rejected_print: str
    now: int


class Busy(NamedTuple):
    """ACQUIRE: WAIT."""

    ms: int


class Denied(NamedTuple):
    """ACQUIRE: BACKOFF."""

    failure: Failure
    ms: int
    row: Row | None
