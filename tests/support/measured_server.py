"""`mintonced` in a form that tests can measure: `python measured_server.py SKEW ARGUMENT…`.

Four differences to the product. Its user may count its descriptors: the product is not dumpable, and only root may
read /proc/PID/fd of such a process. Its wall clock is ahead by SKEW seconds. It writes the number of its asyncio tasks
into the file that MEASURED_TASKS names, each second, and when it stood still into a file beside it: see `late_file`.
MEASURED_ISSUER_WAY, two ports, sends what goes to an issuer at the first through the second: a proxy of its own.
"""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

PROGRAM: Final = str(Path(__file__).resolve())
TASKS_FILE: Final = "MEASURED_TASKS"
"""Name of the environment variable."""
ISSUER_WAY: Final = "MEASURED_ISSUER_WAY"
"""Name of the environment variable."""
BEAT: Final = 0.02
LATE: Final = 0.03
"""Seconds: the margin that a replica keeps for its answer's way back (api/calls.py), less a little."""
_PR_SET_DUMPABLE: Final = 4


def late_file(tasks: Path) -> Path:
    """Where it says from when until when the event loop stood still: a line each, two unix times."""
    return tasks.with_suffix(".late")


async def measure(tasks: Path) -> None:
    """For ever. This task is not counted."""
    counted = 0.0
    while True:
        due = time.time() + BEAT
        await asyncio.sleep(BEAT)
        now = time.time()
        if now - due > LATE:
            with late_file(tasks).open("a") as late:
                late.write(f"{due} {now}\n")
        if now - counted >= 1.0:
            counted = now
            tasks.write_text(str(len(asyncio.all_tasks()) - 1))


def lead_through(port: str, proxy: str) -> None:
    """As the network would do it: the settings, and so the identities of the clients, name the issuer itself."""
    from mintonce_server.app import issuers
    from mintonce_server.common.clock import Clock
    from mintonce_server.issuer.endpoint import TokenEndpoint
    from mintonce_server.issuer.options import EndpointOptions

    def endpoint(options: EndpointOptions, clock: Clock, *others: Any, **more: Any) -> TokenEndpoint:
        way = replace(options, token_url=options.address.replace(f":{port}/", f":{proxy}/"))
        return TokenEndpoint(way, clock, *others, **more)

    setattr(issuers, "TokenEndpoint", endpoint)  # noqa: B010 - it is no export of that module


def main(skew: float, arguments: list[str]) -> int:
    """The exit code. Only the wall clock is off: a monotonic one cannot be set."""
    # This folder came first on the path, since it is this program's.
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).parent.resolve()]
    from mintonce_server import app
    from mintonce_server.cli import process
    from mintonce_server.common.clock import SystemClock
    from mintonce_server.config import Settings

    if way := os.environ.get(ISSUER_WAY):
        lead_through(*way.split())
    harden, serve, tasks = process.harden, app.serve, os.environ.get(TASKS_FILE)

    def harden_but_stay_dumpable() -> Iterator[str]:
        yield from harden()
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)

    async def serve_and_count(
        settings: Settings,
        stopping: asyncio.Event,
        ready: Callable[[str], None],
        say: Callable[[str], None] | None = None,
    ) -> None:
        counting = asyncio.create_task(measure(Path(tasks))) if tasks else None
        try:
            await serve(settings, stopping, ready, say)
        finally:
            if counting:
                counting.cancel()

    # Before the command line is imported, which takes the functions from there.
    process.harden, app.serve = harden_but_stay_dumpable, serve_and_count
    SystemClock.unix = lambda self: time.time() + skew  # type: ignore[method-assign] # that is the point
    sys.argv[1:] = arguments
    from mintonce_server.__main__ import main as mintonced

    return mintonced()


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
