"""Refused calls cannot fill the audit log: the first of each kind is written, the others are counted."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from observability.test_audit import CALL, MINT

from mintonce_server.core.errors import AuditUnavailable
from mintonce_server.observability import audit_repeats as module
from mintonce_server.observability.audit import AuditLog, CallRecord, Record, ReloadRecord, RepeatRecord
from mintonce_server.observability.audit_repeats import AuditRepeats
from support.clocks import ManualClock
from support.waiting import wait_until

INTERVAL = 60.0
NAMELESS = replace(
    CALL, caller="unknown", caller_kind="", peer="ipv4:192.0.2.7:4711", decision="unauthenticated", rule="",
    status="UNAUTHENTICATED", reason="UNAUTHENTICATED", client="", audience="", scopes=(), key="", generation=0,
    token_sha256="",
)  # fmt: skip
DENIED = replace(CALL, decision="deny", rule="", status="PERMISSION_DENIED", reason="PERMISSION_DENIED", generation=0)


class Log(list[Record]):
    """What was written; it can be full."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False

    def write(self, record: Record) -> None:
        if self.is_full:
            raise AuditUnavailable("the disk is full", remedy="Make room.")
        self.append(record)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def repeats(log: Log, clock: ManualClock) -> AuditRepeats:
    return AuditRepeats(log.write, clock, INTERVAL)


def many(repeats: AuditRepeats, record: CallRecord, count: int) -> None:
    for number in range(count):
        repeats.write(replace(record, request_id=f"r{number}"))


def test_the_first_refusal_is_written_and_the_others_are_counted(
    log: Log, clock: ManualClock, repeats: AuditRepeats
) -> None:
    """Of one caller, or of one network where the caller is not known; other acts and reasons count apart."""
    neighbour = replace(NAMELESS, peer="ipv4:192.0.2.99:1")
    many(repeats, NAMELESS, 1000)
    many(repeats, neighbour, 1000)
    many(repeats, DENIED, 50)
    many(repeats, replace(DENIED, act="watch"), 1)
    assert [record.act for record in log if isinstance(record, CallRecord)] == ["get", "get", "watch"]
    clock.advance(INTERVAL)
    repeats.flush(clock.monotonic() - INTERVAL)
    assert log[3:] == [
        RepeatRecord("key:billing", "", "get", "deny", "PERMISSION_DENIED", "PERMISSION_DENIED", 49, INTERVAL),
        RepeatRecord(
            "", "192.0.2.0/24", "get", "unauthenticated", "UNAUTHENTICATED", "UNAUTHENTICATED", 1999, INTERVAL
        ),
    ]


def test_after_the_interval_the_next_one_is_written_again(log: Log, clock: ManualClock, repeats: AuditRepeats) -> None:
    """What happened once leaves one line and no count."""
    repeats.write(DENIED)
    clock.advance(INTERVAL)
    repeats.flush(clock.monotonic() - INTERVAL)
    repeats.write(DENIED)
    assert log == [DENIED, DENIED]


def test_what_is_allowed_minted_or_reloaded_is_always_written(log: Log, repeats: AuditRepeats) -> None:
    """However often."""
    for record in (CALL, MINT, ReloadRecord("policy", "loaded")) * 100:
        repeats.write(record)
    assert len(log) == 300


def test_at_the_end_all_counts_are_written(log: Log, repeats: AuditRepeats) -> None:
    """Nothing is lost by a restart."""
    many(repeats, NAMELESS, 3)
    repeats.close()
    assert [record.count for record in log if isinstance(record, RepeatRecord)] == [2]


async def test_it_writes_by_itself_when_the_interval_is_over(
    log: Log, clock: ManualClock, repeats: AuditRepeats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether or not another call comes."""
    monkeypatch.setattr(module, "TICK", 0.001)
    many(repeats, NAMELESS, 3)
    clock.advance(INTERVAL)
    running = asyncio.create_task(repeats.run())
    await wait_until(lambda: len(log) == 2)
    running.cancel()
    assert [type(record) for record in log] == [CallRecord, RepeatRecord]


def test_many_networks_do_not_make_many_lines(log: Log, clock: ManualClock, repeats: AuditRepeats) -> None:
    """IPv6 gives everybody as many as they like: beyond some they count together, and a known caller is still seen."""
    for number in range(20_000):
        repeats.write(replace(NAMELESS, peer=f"ipv6:%5B2001:db8:{number // 256:x}:{number % 256:x}::1%5D:4711"))
    assert len(log) == module.FIRST_AT_ONCE
    repeats.write(DENIED)
    assert log[-1] == DENIED
    repeats.close()
    (others,) = [record for record in log if isinstance(record, RepeatRecord)]
    assert (others.network, others.count) == (module.OTHERS, 20_000 - module.FIRST_AT_ONCE)
    assert not repeats._unknown


def test_the_tables_are_bounded(
    log: Log, clock: ManualClock, repeats: AuditRepeats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of known callers the oldest is written down early; of networks, more than are counted apart count together."""
    monkeypatch.setattr(module, "MOST_CALLERS", 10)
    monkeypatch.setattr(module, "MOST_NETWORKS", 10)
    for number in range(100):
        many(repeats, replace(DENIED, caller=f"key:c{number}"), 2)
        many(repeats, replace(NAMELESS, peer=f"ipv4:192.0.{number}.1:1"), 2)
    assert len(repeats._known) == 10
    assert len(repeats._unknown) == 11
    repeats.close()
    refused = sum(record.count for record in log if isinstance(record, RepeatRecord))
    assert refused + sum(isinstance(record, CallRecord) for record in log) == 400


def test_counts_wait_for_a_log_that_cannot_be_written(log: Log, clock: ManualClock, repeats: AuditRepeats) -> None:
    """And the first of a kind is reported to its caller, as every record is."""
    many(repeats, NAMELESS, 3)
    log.is_full = True
    repeats.close()
    with pytest.raises(AuditUnavailable):
        repeats.write(DENIED)
    log.is_full = False
    repeats.write(DENIED)
    repeats.close()
    assert [type(record) for record in log] == [CallRecord, CallRecord, RepeatRecord]


@pytest.mark.slow
def test_a_flood_of_nameless_calls_grows_the_file_by_less_than_a_megabyte_a_minute(
    tmp_path: Path, clock: ManualClock
) -> None:
    """2,000 a second, from a thousand networks, each with all acts."""
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, clock) as audit:
        repeats = AuditRepeats(audit.write, clock, INTERVAL)
        for second in range(60):
            for number in range(2000):
                act = ("get", "watch", "reject", "admin")[number % 4]
                repeats.write(
                    replace(NAMELESS, act=act, peer=f"ipv4:10.{number % 4}.{(number + second) % 256}.1:{number}")
                )
            clock.advance(1.0)
            repeats.flush(clock.monotonic() - INTERVAL)
        repeats.close()
    assert path.stat().st_size < 1_000_000
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert sum(line.get("count", 1) for line in told) == 120_000
