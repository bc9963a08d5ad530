"""What is printed of a fleet and of very many keys."""

from collections.abc import Sequence
from statistics import median
from typing import Final

from bench.fleet.keys import KeysMeasured
from bench.fleet.measure import FleetMeasured, Lags
from bench.table import columns, duration

KIB: Final = 1024


def fleet_report(of: FleetMeasured) -> str:
    """Bursts, then single calls."""
    redis = median(of.redis)
    bursts = [
        _burst("cold herd", of.callers, of.herd, redis, of.floor_herd, "aim: p99 at most 10 ms"),
        _burst("cold herd", of.few, of.few_herd, redis, None, "hardly anything to answer"),
        _burst("  floor", of.callers, of.floor_herd, redis, None, "gRPC alone, told by Redis"),
        _burst("rotation, watchers", of.callers, of.watchers, redis, of.floor_watchers, "aim: p99 at most 50 ms"),
        _burst("rotation, watchers", of.few, of.few_watchers, redis, None, "hardly anything to send"),
        _burst("  floor", of.callers, of.floor_watchers, redis, None, "gRPC alone, told by Redis"),
    ]
    return f"""\
{of.replicas} replicas, one store, one issuer; from the commit to the answers

{columns(("", "callers", "first", "p50", "p99", "last", "longest", "p99/Redis", "p50/floor", ""), bursts)}

p50, p99: of all answers of {len(of.herd.rounds)} rounds; first, last: of a round, median; longest: of all rounds
These callers read frame headers only, each on a connection of its own, on the same cores as all the rest. The floor
is what gRPC takes there: calls that bare grpc.aio servers hold until Redis tells them, with one answer for all.

One call at a time

{columns(("", "p50", "p99", "/Redis", ""), _singles(of, redis))}"""


def _burst(name: str, callers: int, lags: Lags, redis: float, floor: Lags | None, meaning: str) -> Sequence[str]:
    lasts, p99 = lags.last(), lags.percentile(99)
    times = (lags.first(), lags.percentile(50), p99, median(lasts), lasts[-1])
    to_floor = f"{lags.percentile(50) / floor.percentile(50):.2f}" if floor else "-"
    return (name, f"{callers:,}", *map(duration, times), f"{p99 / redis:.0f}", to_floor, meaning)


def _singles(of: FleetMeasured, redis: float) -> list[Sequence[str]]:
    timed = of.singles
    over = [cold - post for cold, post in zip(timed.cold, timed.post, strict=True)]
    aim = f"aim: p50 at most {duration(2 * redis + 1e-3)} (2 Redis round trips + 1 ms)"
    rows = (
        ("Redis round trip", of.redis, "redis-py (asyncio), Unix socket"),
        ("bare POST", timed.post, "the practice issuer itself, connection kept"),
        ("GetToken, hot key", timed.hot, "by the same callers"),
        ("GetToken, cold key", timed.cold, "acquire, mint, commit, answer"),
        ("  over the POST", over, aim),
    )
    return [
        (name, duration(median(times)), duration(_p99(times)), f"{median(times) / redis:.1f}", meaning)
        for name, times, meaning in rows
    ]


def _p99(times: Sequence[float]) -> float:
    return sorted(times)[max(0, len(times) * 99 // 100 - 1)]


def keys_report(of: KeysMeasured, redis: float) -> str:
    """`redis`: seconds of a bare round trip in the same run."""
    store = f"as above; record {of.record_bytes:,} B in all, meta {of.meta_bytes:,} B"
    refreshed = f"acquire, POST, commit; mean of {of.refreshed:,}"
    rows = [
        ("server, memory a key", _kib(of.server_bytes), "", "beyond the token's text; aim: at most 3 KiB"),
        ("store, memory a key", _kib(of.store_bytes), "", store),
        ("server, idle CPU", f"{of.idle:.2%}", "", "of one core, while nobody calls"),
        ("  just after the calls", f"{of.settling:.2%}", "", "what they set off, in the minute after them"),
        ("first GetToken, CPU", *_cpu(of.take_cpu, redis), "another replica's token, taken from the store"),
        ("refresh ahead, CPU", *_cpu(of.refresh_cpu, redis), refreshed),
    ]
    return f"""\
{of.keys:,} keys in one replica; CPU of the replica, per key

{columns(("", "", "/Redis", ""), rows)}"""


def _kib(size: float) -> str:
    return f"{size / KIB:.2f} KiB"


def _cpu(seconds: float, redis: float) -> tuple[str, str]:
    return duration(seconds), f"{seconds / redis:.1f}"
