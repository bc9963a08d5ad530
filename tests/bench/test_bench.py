"""That `make bench` works. What it measures is for people to read: no test looks at a number."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(100)  # many programs start here: on a busy machine, that is what takes the time


async def printed(*words: str, path: str = os.environ["PATH"]) -> str:
    """What the quick bench says. Fails when it does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "--quick", *words),
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(90.0):
            output, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaints.decode()
    return output.decode()


def missing(text: str, *starts: str) -> list[str]:
    """The beginnings that no line has."""
    return [start for start in starts if not any(line.startswith(start) for line in text.splitlines())]


@pytest.mark.parametrize("path", [os.environ["PATH"], ""], ids=["with what is on PATH", "without h2load"])
async def test_quick_bench_of_a_hot_key_prints_every_row(path: str) -> None:
    """The quick bench ends well, with or without h2load, and its table has all rows and ratios."""
    text = await printed("--only", "hot", path=path)
    assert not missing(
        text,
        "empty method ",
        "same bytes ",
        "GetToken, hot key ",
        "Redis GET ",
        "TokenSource.get ",
        "GetToken / empty method, server CPU",
    ), text


async def test_quick_bench_of_a_fleet_prints_every_row() -> None:
    """Real replicas, callers and floor servers start, find each other, and end; each row has its line."""
    text = await printed("--only", "fleet")
    rows = ("cold herd ", "rotation, watchers ", "  floor ", "Redis round trip ", "bare POST ", "GetToken, cold key ")
    assert not missing(text, *rows, "  over the POST "), text


async def test_quick_bench_of_many_keys_prints_every_row() -> None:
    """A store is filled, a replica takes all of it, and refreshes keys; each row has its line."""
    text = await printed("--only", "keys")
    rows = ("server, memory a key ", "store, memory a key ", "server, idle CPU ", "first GetToken, CPU ")
    assert not missing(text, *rows, "refresh ahead, CPU "), text
