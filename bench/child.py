"""Starts the server under measurement, and reads its CPU time."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

START_WITHIN: Final = 20.0
STOP_WITHIN: Final = 10.0


@asynccontextmanager
async def measured_server() -> AsyncGenerator[str]:
    """The target of a server that runs until the end of the block. It ends with this process too, however that ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.server"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin, "asked for above"
    assert process.stdout, "asked for above"
    try:
        async with asyncio.timeout(START_WITHIN):
            target = (await process.stdout.readline()).decode().strip()
        if not target:
            raise RuntimeError("the server under measurement did not start; its own words are above")
        yield target
    finally:
        process.stdin.close()
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(STOP_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
