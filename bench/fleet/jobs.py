"""Runs a function of the callers in a process of its own, so that nobody else's work is in what it measures.

`python -m bench.fleet.jobs`: a job as JSON on stdin, what came of it as JSON on stdout.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, Final

from bench.fleet.bursts import Burst, Round, herd, watchers
from bench.fleet.singles import Gets, Singles, Timed, gets, singles
from bench.fleet.tied import tied

DEADLINE: Final = 900.0

_WORK: Final[Mapping[str, Callable[[dict[str, Any]], object]]] = {
    "herd": lambda fields: [asdict(one) for one in herd(Burst(**fields))],
    "watchers": lambda fields: [asdict(one) for one in watchers(Burst(**fields))],
    "singles": lambda fields: asdict(singles(Singles(**fields))),
    "gets": lambda fields: gets(Gets(**fields)),
}


async def run_bursts(what: str, job: Burst) -> list[Round]:
    """`herd` or `watchers`."""
    return [Round(**fields) for fields in await _elsewhere(what, job)]


async def run_singles(job: Singles) -> Timed:
    """One call at a time."""
    return Timed(**await _elsewhere("singles", job))


async def run_gets(job: Gets) -> float:
    """Seconds that they all took."""
    return float(await _elsewhere("gets", job))


async def _elsewhere(what: str, job: object) -> Any:
    """Raises RuntimeError when the process fails; its own words are on stderr then."""
    assert is_dataclass(job), "all jobs are"
    assert not isinstance(job, type), "an instance"
    process = await asyncio.create_subprocess_exec(
        *tied("bench.fleet.jobs"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(DEADLINE):
            output, _ = await process.communicate(json.dumps({"what": what, "job": asdict(job)}).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"the callers of '{what}' failed; their own words are above")
    return json.loads(output)


def main() -> None:
    """One job."""
    asked = json.load(sys.stdin)
    json.dump(_WORK[asked["what"]](asked["job"]), sys.stdout)


if __name__ == "__main__":
    main()
