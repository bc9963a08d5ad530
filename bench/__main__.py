"""`python -m bench [--quick] [--only PART]`: measures each part once and prints its table."""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.clients import ClientsEffort, clients_report, measure_clients
from bench.door import DoorEffort, door_report, measure_door
from bench.hot import HotEffort, hot_report, measure_hot
from bench.keys import KeysEffort, keys_report, measure_keys
from bench.meter import MeterEffort, measure_meter, meter_report
from bench.singles import SinglesEffort, measure_singles, singles_report

USUAL: Final = ("meter", "hot", "door", "singles", "keys")
PARTS: Final = (*USUAL, "clients")
"""The clients only when they are named: they are built first, each with the toolchain of its language."""


@dataclass(frozen=True)
class Effort:
    """How much of each part."""

    hot: HotEffort
    door: DoorEffort
    singles: SinglesEffort
    keys: KeysEffort
    clients: ClientsEffort
    meter: MeterEffort


FULL: Final = Effort(
    # Many short rounds: other work on the machine then spoils a few of them, and the median ignores those.
    HotEffort(rounds=30, loaded_calls=500, single_calls=100),
    DoorEffort(rounds=30, calls=500),
    SinglesEffort(rounds=20, calls=20, reads=100_000),
    # A key that was asked for is checked once more a minute later: the idle phase starts after that.
    KeysEffort(keys=5000, settle=62.0, idle=12.0, refreshed=200, lifetime=20.0),
    ClientsEffort(reads=100_000, rotations=100, everyone_reads=True),
    MeterEffort(rounds=10, calls=50_000),
)
QUICK: Final = Effort(
    HotEffort(rounds=2, loaded_calls=60, single_calls=20),
    DoorEffort(rounds=2, calls=60),
    SinglesEffort(rounds=2, calls=5, reads=1000),
    KeysEffort(keys=200, settle=0.5, idle=1.0, refreshed=20, lifetime=4.0),
    ClientsEffort(reads=1000, rotations=3, everyone_reads=False),
    MeterEffort(rounds=2, calls=1000),
)


async def run(effort: Effort, parts: Sequence[str]) -> None:
    """Prints each part when it is done."""
    if "meter" in parts:
        print(meter_report(measure_meter(effort.meter)) + "\n", flush=True)
    if "hot" in parts:
        print(hot_report(await measure_hot(effort.hot)), flush=True)
    if "door" in parts:
        print("\n" + door_report(await measure_door(effort.door)), flush=True)
    if "singles" in parts:
        print("\n" + singles_report(await measure_singles(effort.singles)), flush=True)
    if "keys" in parts:
        print("\n" + keys_report(await measure_keys(effort.keys)), flush=True)
    if "clients" in parts:
        print("\n" + clients_report(await measure_clients(effort.clients)), flush=True)


def main() -> None:
    """Exits with 0 if everything could be measured, whatever the numbers."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measures Mintonce against what it is built on.")
    parser.add_argument("--quick", action="store_true", help="only check that it works: the numbers mean nothing")
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="one part; can be repeated (default: all but clients)"
    )
    options = parser.parse_args()
    asyncio.run(run(QUICK if options.quick else FULL, options.only or USUAL))


if __name__ == "__main__":
    main()
