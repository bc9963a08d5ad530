"""Servers of other projects as processes: started, waited for, ended."""

import http.client
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from interop.issuers.subject import NotHere

from mintonce_dev import die_with_parent
from support.waiting import wait_until

STOP_WITHIN: Final = 20.0
ROOT: Final = Path(__file__).parents[3]
CACHE: Final = ROOT / ".cache" / "interop"
"""What was fetched and built. `make clean` removes it."""


@asynccontextmanager
async def program(
    words: Sequence[str],
    log: Path,
    ready: Callable[[], bool],
    *,
    within: float = 30.0,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> AsyncGenerator[subprocess.Popen[bytes]]:
    """A program that is ready within so many seconds, and is ended with the block, or with this process.

    `environ`: added to this process's. Raises RuntimeError, with the end of its log, if it ends or is not ready.
    """
    tied = (sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*tied, *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environ or {})},
            cwd=folder,
            start_new_session=True,
        )
    try:
        try:
            await wait_until(lambda: process.poll() is not None or ready(), timeout=within)
        except TimeoutError as error:
            raise RuntimeError(f"{words[0]} is not ready after {within:g} s: {_end_of(log)}") from error
        if process.poll() is not None:
            raise RuntimeError(f"{words[0]} ended with code {process.returncode}: {_end_of(log)}")
        yield process
    finally:
        await _stop(process)


async def _stop(process: subprocess.Popen[bytes]) -> None:
    """All of its session, which has the processes that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                await wait_until(lambda: process.poll() is not None, timeout=STOP_WITHIN)
            except TimeoutError:
                continue


def answers(port: int, path: str = "/") -> Callable[[], bool]:
    """Whether there is an HTTP server that answers below 500."""

    def ask() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
        try:
            connection.request("GET", path)
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ask


def prepare(words: Sequence[str], *, folder: Path = ROOT, within: float = 600.0, what: str) -> str:
    """Run a command that fetches or builds something; its output. Raises NotHere if it cannot."""
    try:
        done = subprocess.run(
            ["nice", "-n", "19", *words], cwd=folder, capture_output=True, text=True, timeout=within, check=False
        )
    except FileNotFoundError as error:
        raise NotHere(f"{what}: nice is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise NotHere(f"{what}: took more than {within:g} s") from error
    if done.returncode == 127:
        raise NotHere(f"{what}: {words[0]} is not installed")
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise NotHere(f"{what}: {' '.join(words[:2])} failed: {' '.join(last)[:200]}")
    return done.stdout


def found(name: str) -> str:
    """Where a program of this machine is. Raises NotHere."""
    path = shutil.which(name)
    if path is None:
        raise NotHere(f"{name} is not installed")
    return path


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-1500:]
