"""Programs that ask an SDK for a token whenever they get a line: started, asked, ended."""

import asyncio
import json
import os
import re
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interop.sdks.subjects import HALF, Sdk

from mintonce_dev import die_with_parent

READY_WITHIN: Final = 120.0
ANSWER_WITHIN: Final = 70.0
END_WITHIN: Final = 20.0
AT_ONCE: Final = 4
"""So many start at the same time. Each of them keeps a processor busy for a second or two."""
EVERY: Final = 0.5
_SECONDS: Final = re.compile(r"\b\d+(\.\d+)? s\b")
_HOST: Final = re.compile(r"127\.0\.0\.1(:|%3A)\d+")


@dataclass(frozen=True, slots=True)
class Said:
    """What an SDK gave. `at`: when, in seconds since 1970. `seconds`: how long it took. `sha256`: "" for an error."""

    at: float
    seconds: float
    sha256: str = ""
    error: str = ""
    leak: bool = False


class Asker:
    """A program that runs, and all that it said."""

    def __init__(self, sdk: Sdk, process: Process) -> None:
        self.sdk = sdk
        self.said: list[Said] = []
        self._process = process

    async def ready(self) -> None:
        """Raises RuntimeError if it ends."""
        await self._line(READY_WITHIN)

    async def ask(self) -> Said:
        """One token, or what the SDK says instead."""
        assert self._process.stdin is not None
        began = time.monotonic()
        self._process.stdin.write(b"\n")
        fields = await self._line(ANSWER_WITHIN)
        taken = time.monotonic() - began
        error = _SECONDS.sub("… s", _HOST.sub("HOST", " ".join(fields.get("error", "").split())))
        self.said.append(Said(time.time(), taken, fields.get("sha256", ""), error, leak=fields.get("leak", False)))
        return self.said[-1]

    @property
    def tokens(self) -> list[Said]:
        """What was no error."""
        return [said for said in self.said if said.sha256]

    @property
    def errors(self) -> list[Said]:
        """What was no token."""
        return [said for said in self.said if said.error]

    async def _line(self, within: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.sdk.name} ended with code {await self._process.wait()}")
        fields: dict[str, Any] = json.loads(line)
        return fields


@asynccontextmanager
async def _running(sdk: Sdk, environ: Mapping[str, str], folder: Path) -> AsyncGenerator[Asker]:
    """Its errors are in a log of the folder. It ends with its stdin, or with this process."""
    tied = (sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()))
    # Only what a program needs to start: this machine's own CAs and proxies are none of its business.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    with (folder / f"{sdk.caller}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *tied, *sdk.command, stdin=PIPE, stdout=PIPE, stderr=log, env=kept | dict(environ), cwd=folder
        )
    assert process.stdin is not None
    try:
        yield Asker(sdk, process)
    finally:
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def running(
    sdks: Sequence[Sdk], environ: Mapping[Sdk, Mapping[str, str]], folder: Path
) -> AsyncGenerator[list[Asker]]:
    """One for each, all ready. Envoy is the last: it asks as soon as it starts, the others when they are asked."""
    places = asyncio.Semaphore(AT_ONCE)
    async with AsyncExitStack() as stack:
        askers: list[Asker] = []

        async def start(sdk: Sdk) -> None:
            async with places:
                asker = await stack.enter_async_context(_running(sdk, environ[sdk], folder))
                askers.append(asker)
                await asker.ready()

        await asyncio.gather(*(start(sdk) for sdk in sdks if sdk.margin != HALF))
        await asyncio.gather(*(start(sdk) for sdk in sdks if sdk.margin == HALF))
        yield sorted(askers, key=lambda asker: sdks.index(asker.sdk))


async def ask_all(askers: Sequence[Asker]) -> None:
    """Each one once, together."""
    await asyncio.gather(*(asker.ask() for asker in askers))


async def keep_asking(askers: Sequence[Asker], seconds: float, every: float = EVERY) -> None:
    """Each one at each beat, as a program that calls an API; who is late leaves beats out."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds

    async def one(asker: Asker) -> None:
        beat = clock()
        while clock() < end:
            await asker.ask()
            beat = max(beat + every, clock())
            await asyncio.sleep(beat - clock())

    await asyncio.gather(*(one(asker) for asker in askers))
