"""Fuzz and flood a real server for longer than `make test` does: `make attack ARGS="--minutes 10"`."""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from attack.campaign import campaign
from attack.report import render

from mintonce_server.observability.logs import configure


def main(arguments: Sequence[str]) -> int:
    """0 if every law held, 1 if not."""
    options = _parser().parse_args(arguments)
    configure("error", "json")  # replicas in this process: what they refuse is counted, not told
    run = asyncio.run(campaign(options.minutes, options.seed, _say))
    text = render(run, command=f'make attack ARGS="{" ".join(arguments)}"')
    print(f"\n{text}")
    if options.report:
        options.report.write_text(text)
    return int(bool(run.broken))


def _say(what: str) -> None:
    print(what, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make attack", description=__doc__)
    parser.add_argument(
        "--minutes",
        type=float,
        default=5.0,
        help="start no new round of fuzzing after this many minutes (default: %(default)g)",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the first round (default: %(default)s)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write the report to this file")
    return parser
