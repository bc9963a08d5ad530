"""The soak: `make soak ARGS="--minutes 10 --seed 1 --report FILE"`. `--help` lists the options."""

import argparse
import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from soak.report import render
from soak.run import soak


def main(arguments: Sequence[str]) -> int:
    """0 if every law held, 1 if not. Then the logs are kept."""
    options = _parser().parse_args(arguments)
    directory = Path(tempfile.mkdtemp(prefix="mo-soak-"))
    try:
        found = asyncio.run(soak(options.minutes, options.seed, directory))
    except BaseException:
        print(_kept(directory), flush=True)
        raise
    text = render(found, f'make soak ARGS="{" ".join(arguments)}"')
    print(text)
    if options.report:
        options.report.write_text(text)
    if not found.kept:
        print(_kept(directory))
        return 1
    shutil.rmtree(directory)
    return 0


def _kept(directory: Path) -> str:
    return f"logs and calls are kept in {directory}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long there is trouble (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="of the troubles and callers (default: %(default)s)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report there too")
    return parser
