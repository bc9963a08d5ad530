"""Refused calls in the audit log: the first of each kind is written, the others are counted.

A refusal costs its caller nothing. Without this, anyone who reaches the port could fill the disk, and the server
returns no tokens while it cannot write the log.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from mintonce_server.common.clock import Clock
from mintonce_server.common.network import network_of_peer
from mintonce_server.core.caller import ANONYMOUS
from mintonce_server.core.errors import AuditUnavailable
from mintonce_server.core.limits import Bucket
from mintonce_server.observability.audit import CallRecord, Record, RepeatRecord
from mintonce_server.observability.logs import get_logger

UNKNOWN: Final = "unknown"
"""The caller's name in a record if the caller is not authenticated."""
ALLOWED: Final = "allow"
OTHERS: Final = "others"
"""Used instead of a network when there are too many networks to count separately."""
MOST_NETWORKS: Final = 1000
"""Maximum rows of unauthenticated callers."""
MOST_CALLERS: Final = 5000
"""Maximum rows of authenticated callers; beyond it, the oldest count is written early."""
FIRST_AT_ONCE: Final = 200
FIRST_PER_SECOND: Final = 5.0
"""Rate of lines about new networks of unauthenticated callers: with IPv6, addresses are cheap."""
TICK: Final = 1.0

Write = Callable[[Record], None]


class _Row(NamedTuple):
    """Calls that are counted together. One of `caller` and `network` is empty."""

    caller: str
    network: str
    act: str
    decision: str
    status: str
    reason: str


@dataclass(slots=True)
class _Count:
    since: float
    more: int = 0


class AuditRepeats:
    """A filter in front of the audit log. Needs `run` as a task, and `close` at the end."""

    def __init__(self, write: Write, clock: Clock, interval: float) -> None:
        self._write = write
        self._clock = clock
        self._interval = interval
        self._known: OrderedDict[_Row, _Count] = OrderedDict()
        self._unknown: OrderedDict[_Row, _Count] = OrderedDict()
        self._firsts = Bucket(FIRST_PER_SECOND, FIRST_AT_ONCE, clock.monotonic())

    def write(self, record: Record) -> None:
        """Write the record, or count it if a similar one was written within the interval. Raises AuditUnavailable."""
        if isinstance(record, CallRecord) and record.decision != ALLOWED:
            self._refused(record)
        else:
            self._write(record)

    async def run(self) -> None:
        """Endless. Write the counts whose interval is over."""
        while True:
            await asyncio.sleep(TICK)
            self.flush(self._clock.monotonic() - self._interval)

    def close(self) -> None:
        """Write all counts."""
        self.flush(self._clock.monotonic())

    def flush(self, until: float) -> None:
        """Write the counts that began at this time or before. Counts that cannot be written are kept."""
        try:
            for rows in (self._known, self._unknown):
                while rows and next(iter(rows.values())).since <= until:
                    self._end_oldest(rows)
        except AuditUnavailable as error:
            log = get_logger(__name__)
            log.error("audit_unavailable", detail=str(error), remedy=error.remedy)  # noqa: TRY400 - its detail says all

    def _refused(self, record: CallRecord) -> None:
        nameless = record.caller in (UNKNOWN, ANONYMOUS.name)
        caller, network = ("", _network(record.peer)) if nameless else (record.caller, "")
        row = _Row(caller, network, record.act, record.decision, record.status, record.reason)
        rows = self._unknown if nameless else self._known
        if (count := rows.get(row)) is not None:
            count.more += 1
        elif nameless and (len(rows) >= MOST_NETWORKS or self._firsts.take(self._clock.monotonic()) > 0):
            self._count_among_others(row)
        else:
            if len(rows) >= MOST_CALLERS:
                self._end_oldest(rows)
            self._write(record)
            rows[row] = _Count(self._clock.monotonic())

    def _count_among_others(self, row: _Row) -> None:
        others = row._replace(network=OTHERS)
        self._unknown.setdefault(others, _Count(self._clock.monotonic())).more += 1

    def _end_oldest(self, rows: OrderedDict[_Row, _Count]) -> None:
        row, count = next(iter(rows.items()))
        if count.more:
            seconds = self._clock.monotonic() - count.since
            self._write(RepeatRecord(*row, count=count.more, seconds=seconds))
        del rows[row]


@lru_cache(1024)
def _network(peer: str) -> str:
    """Cached, because all calls of a connection have the same peer."""
    return network_of_peer(peer)
