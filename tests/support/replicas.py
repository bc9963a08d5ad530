"""`mintonced serve` as real processes, set up by environment variables only, as an operator would."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from support.waiting import wait_until

PROGRAM: Final = ("-m", "mintonce_server")


class Replica:
    """One server process and what it logged."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        return [line for line in self.lines if line.get("event") == name]

    @property
    def target(self) -> str:
        """Where it listens."""
        return str(self.events("serving")[0]["listen"])

    def is_serving(self) -> bool:
        """Whether it said so. Fails when it ended instead."""
        assert self.process.returncode is None, self.log.read_text()
        text = self.log.read_text()
        return '"serving"' in text and text.endswith("\n")

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(20.0):
            return await self.process.wait()


@asynccontextmanager
async def replica(
    directory: Path,
    settings: Mapping[str, str],
    program: Sequence[str] = PROGRAM,
    variables: Mapping[str, str] | None = None,
) -> AsyncGenerator[Replica]:
    """A server that serves, until the end of the block. `settings`: variables without their MINTONCE_ prefix;
    `variables`: others.
    """
    log = directory / f"replica-{len(list(directory.glob('replica-*')))}.log"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MINTONCE_")}
    # Four times the usual deadline: where the machine stands still for a moment, no replica shall mint alone.
    usual = {"LISTEN": "127.0.0.1:0", "REDIS__TIMEOUT": "1s"}
    environ |= {f"MINTONCE_{name}": value for name, value in (usual | dict(settings)).items()} | dict(variables or {})
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *program, "serve", env=environ, stderr=stderr, cwd=directory
        )
    started = Replica(process, log)
    try:
        await wait_until(started.is_serving, timeout=60.0)  # a busy machine is no fault
        yield started
    finally:
        await started.stop(signal.SIGTERM)
