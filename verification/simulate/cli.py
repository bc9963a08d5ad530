"""A fleet of real replicas in one simulated process, seed after seed: `make simulate ARGS="--minutes 5"`.

A seed decides everything: the calls, the faults and their times, and the order of simultaneous events.
ARGS="--seed N" replays one, shrinks it to the events that matter, and shows what happened.
"""

import argparse
import itertools
from collections.abc import Iterable, Sequence

from simulate.campaign import Failure, Kinds, Tally, campaign
from simulate.fleet import simulate
from simulate.kinds import KINDS
from simulate.mutants import SEEDS, hunt
from simulate.planning import plan_of
from simulate.shrink import Shrinker, story

SHRUNK_MOST = 8


def main(arguments: Sequence[str]) -> int:
    """0 if no law was broken, 1 if one was."""
    options = _parser().parse_args(arguments)
    kinds = Kinds(frozenset(options.only), frozenset(options.without))
    if options.seed is not None:
        return _replay(options.seed, kinds, options.law, options.lines)
    if options.mutants is not None:
        return _mutants(options.mutants)
    tally = _campaign(_seeds(options), kinds, options)
    if options.shrink:
        for law, failure in _examples(tally):
            print(f"\nseed {failure.seed} breaks {law}, shrunk:")
            print(_shrunk(failure.seed, kinds, law, options.lines))
    return int(bool(tally.failures))


def _replay(seed: int, kinds: Kinds, law: str, lines: int) -> int:
    outcome = simulate(plan_of(seed, kinds.only, kinds.without))
    print(f"seed {seed}: {outcome.operations} operations, {outcome.posts} POSTs, trace {outcome.digest}")
    if not outcome.broken:
        print("no law is broken")
        return 0
    for broken in outcome.broken[:10]:
        print(broken)
    law = law or outcome.broken[0].law
    print(f"\nshrunk to what breaks {law}:")
    print(_shrunk(seed, kinds, law, lines))
    return 1


def _shrunk(seed: int, kinds: Kinds, law: str, lines: int) -> str:
    plan = Shrinker(plan_of(seed, kinds.only, kinds.without), law).shrink()
    return story(plan, law, lines)


def _mutants(chosen: str) -> int:
    caught = count = 0
    for verdict in hunt(chosen):
        caught, count = caught + (verdict.seed >= 0), count + 1
        by = f"seed {verdict.seed} ({verdict.law})" if verdict.seed >= 0 else "SURVIVES"
        print(f"{verdict.mutant.name:<50} {by}", flush=True)
    print(f"mutants caught: {caught} of {count}, each within {SEEDS} seeds")
    return int(caught < count or not count)


def _campaign(seeds: Iterable[int], kinds: Kinds, options: argparse.Namespace) -> Tally:
    tally = Tally()
    said = 0
    seconds, processes = options.minutes * 60.0, options.processes
    for tally in campaign(seeds, kinds, seconds=seconds, processes=processes, stop=options.stop):
        for failure in tally.failures[said:]:
            for law, what in failure.laws.items():
                print(f"seed {failure.seed}: {law} {what[:300]}", flush=True)
        said = len(tally.failures)
    rate = tally.operations / max(tally.real, 0.001)
    print(
        f"{tally.operations} operations in {tally.seeds} seeds ({rate:,.0f} a second, {tally.virtual:,.0f} simulated "
        f"seconds, {tally.posts} POSTs); {len(tally.failures)} seeds broke a law {dict(tally.laws())}"
    )
    return tally


def _examples(tally: Tally) -> list[tuple[str, Failure]]:
    """For each law, the first seed that broke it."""
    examples: dict[str, Failure] = {}
    for failure in tally.failures:
        for law in failure.laws:
            examples.setdefault(law, failure)
    return list(examples.items())[:SHRUNK_MOST]


def _seeds(options: argparse.Namespace) -> Iterable[int]:
    first: int = options.first
    return itertools.count(first) if options.seeds is None else range(first, first + options.seeds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, default=1.0, help="start no new seed after this many minutes (default: %(default)g)"
    )
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)d)")
    parser.add_argument("--seeds", type=int, help="maximum number of seeds (default: as many as fit into the minutes)")
    parser.add_argument("--seed", type=int, help="replay only this one, and shrink it")
    parser.add_argument("--law", default="", help="with --seed: shrink to what breaks this law")
    parser.add_argument(
        "--lines", type=int, default=25, help="lines of the trace of a shrunk run to print (default: %(default)d)"
    )
    parser.add_argument("--processes", type=int, default=1, help="how many run at the same time (default: %(default)d)")
    parser.add_argument(
        "--stop", action="store_true", help="stop at the first seed that breaks a law (one process only)"
    )
    parser.add_argument("--mutants", nargs="?", const="", metavar="NAME", help="hunt mutants of the product instead")
    parser.add_argument("--shrink", action="store_true", help="shrink the first seed of each law that is broken")
    kinds = sorted(KINDS)
    parser.add_argument("--only", nargs="*", default=[], choices=kinds, metavar="KIND", help=", ".join(kinds))
    parser.add_argument("--without", nargs="*", default=[], choices=kinds, metavar="KIND", help="leave these out")
    return parser
