"""`mintonced` as a command that ends."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How it ended and what it said."""

    code: int
    out: str
    err: str


async def mintonced(
    *words: str,
    directory: Path,
    settings: Mapping[str, str] | None = None,
    program: Sequence[str] = ("-m", "mintonce_server"),
) -> Ended:
    """Run it to its end, in 20 s. `settings`: variables without their MINTONCE_ prefix; nothing else is set."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MINTONCE_")}
    environ |= {f"MINTONCE_{name}": value for name, value in (settings or {}).items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *program, *words),
        env=environ,
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(20.0):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ended(process.returncode or 0, out.decode(), err.decode())
