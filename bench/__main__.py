"""`python -m bench [--quick] [--only PART]`: measures everything once, and prints the tables."""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.fleet.keys import KeysEffort, measure_keys
from bench.fleet.measure import FleetEffort, measure_fleet
from bench.fleet.report import fleet_report, keys_report
from bench.hot import HotEffort, hot_report, measure_hot
from bench.load import installed_h2load
from bench.redis_get import redis_latency

PARTS: Final = ("hot", "fleet", "keys")


@dataclass(frozen=True)
class Effort:
    """How much of everything."""

    hot: HotEffort
    fleet: FleetEffort
    keys: KeysEffort


FULL: Final = Effort(
    # Many short rounds: a neighbour's burst of work then spoils a few of them, and the median does not care.
    HotEffort(rounds=40, loaded_calls=600, single_calls=100, reads=100_000),
    FleetEffort(replicas=4, callers=1000, rounds=20, pause=0.8, calls=500),
    # A key that was asked for is looked at once more, a minute later: what is idle comes after that. It lasts longer
    # than revalidate_interval. The lifetime gives each refresh two seconds, with jitter.
    KeysEffort(keys=100_000, settle=62.0, idle=12.0, refreshed=200, lifetime=20.0),
)
QUICK: Final = Effort(
    HotEffort(rounds=2, loaded_calls=100, single_calls=50, reads=1000),
    FleetEffort(replicas=2, callers=40, rounds=2, pause=0.2, calls=20),
    KeysEffort(keys=500, settle=0.5, idle=1.0, refreshed=20, lifetime=4.0),
)


async def run(effort: Effort, parts: Sequence[str]) -> None:
    """Prints each part when it is done."""
    if "hot" in parts:
        h2load = installed_h2load()
        print(hot_report(await measure_hot(effort.hot, h2load), h2load), flush=True)
    if "fleet" in parts:
        print("\n" + fleet_report(await measure_fleet(effort.fleet)), flush=True)
    if "keys" in parts:
        redis = median(await redis_latency())
        print("\n" + keys_report(await measure_keys(effort.keys), redis), flush=True)


def main() -> None:
    """Exits with 0 when all could be measured, whatever the numbers."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measures Mintonce against what it is built on.")
    parser.add_argument("--quick", action="store_true", help="only to see that it works: the numbers mean nothing")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be repeated (default: all)")
    options = parser.parse_args()
    asyncio.run(run(QUICK if options.quick else FULL, options.only or PARTS))


if __name__ == "__main__":
    main()
