"""`mintonce top`: a terminal of its own, which is given back whatever happens."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from mintonce.cli._screen import SORTS, View, screen
from mintonce.cli._top import after
from mintonce_server.core.status import as_json
from support.snapshots import busy, key_row
from support.status_server import StatusServer

PROGRAM = Path(sys.executable).with_name("mintonce")
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def server() -> Iterator[StatusServer]:
    with StatusServer() as running:
        yield running


class Screen:
    """A program in a terminal."""

    def __init__(self, pid: int, terminal: int) -> None:
        self.pid = pid
        self._terminal = terminal
        self.before = termios.tcgetattr(terminal)
        self.written = ""

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def until(self, right: Callable[[str], bool], within: float = 20.0) -> str:
        """What stands on the screen once that is right. Fails after `within` seconds."""
        end = monotonic() + within
        while not right(self.shown()):
            assert monotonic() < end, self.written
            if select.select([self._terminal], [], [], 0.05)[0]:
                self.written += os.read(self._terminal, 65_536).decode()
        return self.shown()

    def shown(self) -> str:
        """The last picture that is whole, as text."""
        pictures = self.written.split("\x1b[H")[1:]
        whole = [picture for picture in pictures if picture.endswith("\x1b[J")]
        return SEQUENCE.sub("", whole[-1]).replace("\r\n", "\n") if whole else ""

    def ended(self) -> int:
        """Its exit code."""
        end = monotonic() + 20.0
        while monotonic() < end:
            try:
                self.written += os.read(self._terminal, 65_536).decode()
            except OSError:  # the program has gone
                break
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


@contextmanager
def top(server: StatusServer, *args: str, columns: int = 120, rows: int = 24, **variables: str) -> Generator[Screen]:
    """In a terminal of this size."""
    environ = {**os.environ, "TERM": "xterm", **variables}
    arguments = [str(PROGRAM), "top", "--interval", "100ms", "--http", server.url, *args]
    ready, go = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.read(ready, 1)  # until the terminal has its size
        os.execve(arguments[0], arguments, environ)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    running = Screen(pid, terminal)
    os.write(go, b"x")
    try:
        yield running
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # the usual end
        for descriptor in (ready, go, terminal):
            os.close(descriptor)


def test_it_shows_the_keys_and_follows_them(server: StatusServer) -> None:
    """Without flicker: each picture is one write over the last one."""
    with top(server) as running:
        shown = running.until(lambda text: "api-8.example.com" in text)
        lines = shown.splitlines()
        assert lines[0].startswith("1 thing needs you.")
        assert lines[0].endswith("mintonce-7d9f-x2k 0.2.0, up 3d0h")
        heads = "CLIENT AUDIENCE STATE ENDS REFRESH WATCHES ASKED PER POST LAST FAILURE"
        assert heads in [" ".join(line.split()) for line in lines]
        assert "reports" in lines[5]
        assert "ISSUER_REFUSED invalid_client" in shown
        server.snapshot = busy(well=True)
        running.until(lambda text: text.startswith("All is well."))
        running.type("q")
        assert running.ended() == 0


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("q", 0),
        ("\x03", 130),
        ("\x04", 0),
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 129),
    ],
    ids=["q", "Ctrl-C", "Ctrl-D", "SIGTERM", "SIGHUP"],
)
def test_the_terminal_is_given_back(server: StatusServer, end: str | signal.Signals, code: int) -> None:
    """The screen, the cursor, and what is typed."""
    with top(server) as running:
        running.until(lambda text: "q quit" in text)
        assert ENTER in running.written
        assert LEAVE not in running.written
        if isinstance(end, str):
            running.type(end)
        else:
            os.kill(running.pid, end)
        assert running.ended() == code
        assert running.written.endswith(f"\x1b[0m\x1b[?25h{LEAVE}")
        assert "Traceback" not in running.written


def test_a_fault_gives_the_terminal_back_before_it_is_shown(server: StatusServer) -> None:
    """Else nobody could read it: here, a server that suddenly refuses the reader."""
    with top(server) as running:
        running.until(lambda text: "q quit" in text)
        server.status, server.body = 403, "no rule"
        assert running.ended() == 1
        assert "answered 403: no rule" in running.written.partition(LEAVE)[2]


def test_it_goes_on_while_the_server_is_away(server: StatusServer) -> None:
    """With what it knew last, and since when."""
    with top(server) as running:
        running.until(lambda text: "q quit" in text)
        server.status = 503
        shown = running.until(lambda text: "not refreshed since" in text)
        assert "api-8.example.com" in shown
        server.status = 200
        running.until(lambda text: "not refreshed since" not in text)


def test_it_filters_by_what_is_typed(server: StatusServer) -> None:
    """The server filters: it knows more keys than a screen has."""
    with top(server) as running:
        running.until(lambda text: "q quit" in text)
        running.type("/orders")
        running.until(lambda text: text.splitlines()[-1].startswith("/orders_"))
        running.type("\n")
        running.until(lambda text: "filter: orders" in text)
        running.until(lambda _: "/status.json?find=orders" in server.asked)


def test_no_color_is_obeyed(server: StatusServer) -> None:
    """See no-color.org."""
    with top(server, NO_COLOR="1") as running:
        running.until(lambda text: "q quit" in text)
        assert "m" not in {sequence[-1] for sequence in SEQUENCE.findall(running.written)}


def test_it_fits_into_a_small_terminal(server: StatusServer) -> None:
    """No line is wider, and the last one says what can be done."""
    with top(server, columns=40, rows=10) as running:
        lines = running.until(lambda text: "q quit" in text).splitlines()
        assert len(lines) == 10
        assert max(map(len, lines)) <= 40


def test_without_a_terminal_it_is_json_lines(server: StatusServer) -> None:
    """For programs."""
    done = subprocess.run(
        [PROGRAM, "top", "--interval", "10ms", "--count", "3", "--http", server.url],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["v"] for line in done.stdout.splitlines()] == [1, 1, 1]


def keyed(typed: str) -> View:
    return after(View(), typed)


def test_keys_are_taken_one_by_one() -> None:
    """However many come at once."""
    assert [keyed("s" * count).sort for count in range(5)] == [*SORTS, "trouble"]
    assert keyed("/ab\x7fc\nq") == View(find="ac", has_ended=True)
    assert keyed("/ab\x1bs") == View(sort="end")
    assert keyed("x?") == View()
    assert len(keyed("/" + "a" * 1000).typing or "") == 200


def test_it_sorts_by_what_was_chosen() -> None:
    """Keys without a token come last."""
    rows = (key_row(1, ends_in=None), key_row(2, ends_in=50.0), key_row(3, ends_in=7.0))
    body = as_json(replace(busy(), keys=replace(busy().keys, rows=rows)))
    shown = [line.text for line in screen(body, View(sort="end"), 120, 24) if "example.com" in line.text]
    assert [re.findall(r"api-\d", line)[0] for line in shown] == ["api-3", "api-2", "api-1"]


def test_nothing_that_answers_can_steer_the_terminal() -> None:
    """Not even where a number belongs: another program may listen at the address."""
    body: dict[str, Any] = json.loads(json.dumps(as_json(busy())))
    evil = "\x1b]0;PWNED\x07"
    body["replica"]["in_flight"] = body["keys"]["total"] = body["keys"]["rows"][0]["watchers"] = evil
    assert not [line for line in screen(body, View(), 120, 24) if "\x1b" in line.text or "\x07" in line.text]


@pytest.mark.parametrize("body", ['{"sentence": "", "as_of": NaN}', '{"sentence": "", "keys": ' + "[" * 100_000])
def test_what_is_no_json_is_no_status_page(server: StatusServer, body: str) -> None:
    """And no traceback."""
    server.status, server.body = 200, body
    done = subprocess.run(
        [str(PROGRAM), "status", "--http", server.url], capture_output=True, text=True, timeout=30, check=False
    )
    assert "is no status page of Mintonce" in done.stderr
    assert "Traceback" not in done.stderr


def test_wide_letters_count_twice() -> None:
    """A table stays a table in any script."""
    body = as_json(replace(busy(), keys=replace(busy().keys, rows=(key_row(1, audience="注文" * 40),))))
    (line,) = (line.text for line in screen(body, View(), 80, 24) if "注文" in line.text)
    assert "…" in line
    assert len(line) < 80
