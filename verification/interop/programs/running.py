"""Starts a program, calls it for a while, ends it with SIGTERM, and says what was seen."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Final
from uuid import uuid4

from interop.programs.environment import APPS, CLIENT, ROOT
from interop.programs.subjects import Subject

LIFETIME: Final = 6
"""Seconds that a practice token lives."""
START_TIMEOUT: Final = 60.0
END_TIMEOUT: Final = 20.0
_SIGNS: Final = (
    "Traceback",
    "Error",
    "Exception",
    "Kick",
    "fork_posix",
    "ResourceWarning",
    "RuntimeWarning",
    "GOAWAY",
    "enable-threads",
)


@dataclass(slots=True)
class Seen:
    """What was seen of a program. `generations`: by process id."""

    calls: int = 0
    failures: list[str] = field(default_factory=list[str])
    generations: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    code: int | None = None
    orphans: int = 0
    printed: list[str] = field(default_factory=list[str])


@contextmanager
def practice_server() -> Generator[str]:
    """A real `mintonced dev` with short tokens. Its target."""
    target, issuer = f"127.0.0.1:{free_port()}", free_port()
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "log", "wb") as log:
        command = [
            str(ROOT / ".venv/bin/mintonced"),
            "dev",
            "--listen",
            target,
            "--token-listen",
            "127.0.0.1:0",
            "--http-listen",
            "127.0.0.1:0",
            "--issuer-port",
            str(issuer),
        ]
        command += ["--lifetime", str(LIFETIME), "--dir", f"{folder}/data"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as server:
            try:
                _await(lambda: _listens(target), server)
                yield target
            finally:
                server.terminate()
                server.wait(END_TIMEOUT)


def observe(subject: Subject, target: str, seconds: float) -> Seen:
    """Run it for so many seconds."""
    seen, mark, port = Seen(), uuid4().hex, free_port()
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "out", "w+b") as out:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MINTONCE_", "GRPC_", "PYTHON"))}
        surroundings = kept | {"MINTONCE_TARGET": target, "INTEROP_MARK": mark, "INTEROP_FOLDER": folder}
        surroundings |= {"PYTHONPATH": f"{CLIENT}{os.pathsep}{APPS}", "PYTHONDONTWRITEBYTECODE": "1"}

        def start(command: tuple[str, ...], output: int | None) -> subprocess.Popen[bytes]:
            words = [word.format(port=port, seconds=seconds) for word in command]
            stdout = out if output is None else output
            return subprocess.Popen(words, cwd=APPS, env=surroundings, stdin=-3, stdout=stdout, stderr=out)

        program = start(subject.command, None if subject.serves or subject.caller else subprocess.PIPE)
        try:
            if subject.serves:
                _await(lambda: _listens(f"127.0.0.1:{port}"), program)
                _call(f"http://127.0.0.1:{port}/", seconds, seen)
            elif subject.caller:
                with start(subject.caller, subprocess.PIPE) as caller:
                    _read(caller, seconds, seen)
                if caller.returncode:
                    seen.failures.append(f"the caller ended with {caller.returncode}")
            else:
                _read(program, seconds, seen)
            if subject.serves or subject.caller:
                program.send_signal(signal.SIGTERM)
            seen.code = program.wait(END_TIMEOUT)
        except (OSError, subprocess.TimeoutExpired, TimeoutError) as error:
            seen.failures.append(f"{type(error).__name__}: {error}")
        finally:
            seen.orphans = _end(program, mark)
        out.seek(0)
        lines = out.read().decode(errors="replace").splitlines()
        seen.printed = [line for line in lines if any(sign in line for sign in _SIGNS)]
    return seen


def free_port() -> int:
    """One that nothing listens at now. The programs cannot say which one they took at port 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _call(url: str, seconds: float, seen: Seen) -> None:
    """Ten requests in a second, each on a connection of its own."""
    give_up_at, pause = monotonic() + seconds, Event()
    while monotonic() < give_up_at:
        try:
            with urllib.request.urlopen(url, timeout=15) as response:
                _count(response.read(), seen)
        except (OSError, ValueError) as error:
            seen.failures.append(f"{type(error).__name__}: {error}")
        pause.wait(0.1)


def _read(process: subprocess.Popen[bytes], seconds: float, seen: Seen) -> None:
    """What it prints, until it ends."""
    for line in process.communicate(timeout=seconds + START_TIMEOUT)[0].splitlines():
        _count(line, seen)


def _count(line: bytes, seen: Seen) -> None:
    answer = json.loads(line)
    seen.calls += 1
    seen.generations[answer["pid"]].add(answer["generation"])
    if answer["expires_in"] <= 0:
        seen.failures.append("a token that was over")


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _await(there: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    give_up_at, pause = monotonic() + START_TIMEOUT, Event()
    while not there():
        if process.poll() is not None or monotonic() > give_up_at:
            raise TimeoutError(f"it does not listen; exit code {process.returncode}")
        pause.wait(0.05)


def _end(program: subprocess.Popen[bytes], mark: str) -> int:
    """Kill what is left. Returns how many processes had outlived the program's end."""
    was_over = program.poll() is not None
    if not was_over:
        program.kill()
        program.wait(END_TIMEOUT)
    left = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _has(pid, mark)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return len(left) if was_over else 0


def _has(pid: int, mark: str) -> bool:
    try:
        return f"INTEROP_MARK={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has just ended, or is another user's
        return False
