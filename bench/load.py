"""Calls a method many times: with h2load where it is installed, else from this process."""

import asyncio
import re
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from bench.methods import REQUEST

CONNECTIONS: Final = 4
STREAMS: Final = 8
UNDER_WAY: Final = CONNECTIONS * STREAMS
"""Calls at a time, whoever makes them."""
DEADLINE: Final = 300.0

Call = Callable[[], Awaitable[object]]


class Load(Protocol):
    """Makes `calls` calls, UNDER_WAY at a time, and returns how many seconds that took."""

    def __call__(self, method: str, calls: int) -> Awaitable[float]: ...


def installed_h2load() -> str | None:
    """The path of h2load (Debian's nghttp2-client), which costs so little that the server is what is measured."""
    return shutil.which("h2load")


def by_h2load(program: str, target: str, least_bytes: dict[str, int]) -> Load:
    """`least_bytes`: what an answer of each method has at least, since h2load knows nothing of a gRPC status."""
    framed = b"\0" + len(REQUEST).to_bytes(4, "big") + REQUEST

    async def load(method: str, calls: int) -> float:
        with tempfile.TemporaryDirectory(prefix="mintonce-bench-") as directory:
            body = Path(directory) / "request"
            body.write_bytes(framed)
            text = await _run(program, *_arguments(calls, body), f"http://{target}{method}")
        return seconds_of(text, calls, least_bytes[method])

    return load


def by_this_process(call: Callable[[str], Call]) -> Load:
    """`call`: makes the call of a method."""

    async def load(method: str, calls: int) -> float:
        one = call(method)
        left = iter(range(calls))

        async def caller() -> None:
            for _ in left:
                await one()

        start = time.perf_counter()
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as callers:
            for _ in range(UNDER_WAY):
                callers.create_task(caller())
        return time.perf_counter() - start

    return load


def seconds_of(report: str, calls: int, least_bytes: int) -> float:
    """Out of what h2load printed. Raises RuntimeError when not every call got its answer."""
    finished = re.search(r"finished in ([\d.]+)(us|ms|s|m|h),", report)
    succeeded = re.search(r"(\d+) succeeded", report)
    data = re.search(r"\((\d+)\) data", report)
    if not (finished and succeeded and data):
        raise RuntimeError(f"h2load printed something new:\n{report}")
    if int(succeeded[1]) != calls or int(data[1]) < calls * least_bytes:
        raise RuntimeError(f"not every call got its answer:\n{report}")
    return float(finished[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}[finished[2]]


def _arguments(calls: int, body: Path) -> list[str]:
    headers = ("content-type: application/grpc", "te: trailers")
    return [
        *(f"--header={header}" for header in headers),
        *(f"--requests={calls}", f"--clients={CONNECTIONS}", f"--max-concurrent-streams={STREAMS}"),
        f"--data={body}",
    ]


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(DEADLINE):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode(errors="replace")
