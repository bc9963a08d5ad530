"""Runs named checks, two at a time, and prints the output of those that fail."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Outcome(NamedTuple):
    """The result of a check, and how many seconds it took."""

    name: str
    ok: bool
    output: str
    seconds: float


def run(checks: Mapping[str, Sequence[str]], environ: Mapping[str, str], name: str) -> Outcome:
    """Runs one check. What it caches stays in this folder."""
    start = time.monotonic()
    quiet = {**os.environ, "NO_COLOR": "1", "BUF_CACHE_DIR": str(ROOT / ".cache" / "buf"), **environ}
    done = subprocess.run(
        checks[name],
        cwd=ROOT,
        env=quiet,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    return Outcome(name, done.returncode == 0, done.stdout.strip(), time.monotonic() - start)


def run_all(title: str, checks: Mapping[str, Sequence[str]], environ: Mapping[str, str], names: Sequence[str]) -> int:
    """0 if every check passed; 2 for a check that does not exist. No names: all of them.

    What a check that passes says in lines with "left out" is printed, too.
    """
    names = names or list(checks)
    unknown = [name for name in names if name not in checks]
    if unknown:
        print(f"no such check: {', '.join(unknown)}. There are: {', '.join(checks)}", file=sys.stderr)
        return 2
    failed: list[str] = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for outcome in pool.map(partial(run, checks, environ), names):
            print(f"{outcome.name:<10} {'ok' if outcome.ok else 'FAILED'} ({outcome.seconds:.1f} s)", flush=True)
            if not outcome.ok:
                failed.append(outcome.name)
                print(outcome.output, end="\n\n", flush=True)
            else:
                left_out = [line for line in outcome.output.splitlines() if "left out" in line]
                print("".join(f"  {line}\n" for line in left_out), end="", flush=True)
    which = f": {', '.join(failed)}" if failed else ""
    print(f"{title}: {len(names) - len(failed)} passed, {len(failed)} failed{which}")
    return bool(failed)
