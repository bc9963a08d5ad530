"""The long fault run: `make chaos ARGS="--minutes 10"`. `--help` lists the options."""

import argparse
import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from chaos import catalogue
from chaos.campaign import campaign, endless, shown
from chaos.digest import Digest
from chaos.report import Run, render
from chaos.rig import TOPOLOGIES, Setup


def main(arguments: Sequence[str]) -> int:
    """0 if every promise was kept, 1 if not."""
    options = _parser().parse_args(arguments)
    if options.list:
        print("\n".join(f"{name}: {', '.join(scenario.topologies)}" for name, scenario in catalogue.ALL.items()))
        return 0
    run = asyncio.run(_chosen(options) if options.scenario else _all(options))
    mutants = _mutants(options.mutants) if options.mutants else ""
    text = render(run, command=f'make chaos ARGS="{" ".join(arguments)}"', mutants=mutants)
    print(f"\n{text}")
    if options.report:
        options.report.write_text(text)
    return int(run.broken > 0)


async def _chosen(options: argparse.Namespace) -> Run:
    """The named scenarios, once on each topology where they make sense: how a failing seed is looked at again."""
    run = Run()
    for topology in options.topology or TOPOLOGIES:
        named = [scenario for scenario in catalogue.of(topology) if scenario.name in options.scenario]
        if named:
            run.digests += await campaign(Setup(topology), options.seed, named, _say, options.keep)
    return run


async def _all(options: argparse.Namespace) -> Run:
    run = Run(shown=await shown(options.seed, _say))
    async for digests in endless(options.seed, options.minutes, options.topology or TOPOLOGIES, _say, options.keep):
        run.digests += digests
    return run


def _mutants(report: Path) -> str:
    counted = json.loads(report.read_text())
    return f"{counted['caught']} of {counted['of']} (`make mutants`)"


def _say(digest: Digest) -> None:
    print(digest, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="start no new round after this many minutes (default: %(default)g)"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the first round (default: %(default)s)")
    parser.add_argument(
        "--scenario",
        action="append",
        choices=list(catalogue.ALL),
        metavar="NAME",
        help="play only this one; can be repeated",
    )
    parser.add_argument("--topology", action="append", choices=TOPOLOGIES, help="use only this one; can be repeated")
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write the report to this file")
    parser.add_argument(
        "--mutants", type=Path, metavar="FILE", help='the JSON file of `make mutants ARGS="--report FILE"`'
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep logs and broken histories in this directory")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    return parser
