"""That `make bench` works. What it measures is for people to read: no test looks at a number."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", [os.environ["PATH"], ""], ids=["with what is on PATH", "without h2load"])
async def test_quick_bench_prints_every_row(path: str) -> None:
    """The quick bench ends well, with or without h2load, and its table has all rows and ratios."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "--quick"),
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(50.0):
            output, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode()
    assert process.returncode == 0, complaints.decode()
    starts = (
        "empty method ",
        "same bytes ",
        "GetToken, hot key ",
        "Redis GET ",
        "TokenSource.get ",
        "GetToken / empty method, server CPU",
    )
    missing = [start for start in starts if not any(line.startswith(start) for line in text.splitlines())]
    assert not missing, text
