"""The terminal while `mintonce top` has it: the alternate screen, and each key as it is pressed."""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Final, Self

from mintonce.cli._screen import PLAIN, Line

_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[0m\x1b[?25h\x1b[?1049l"
ESCAPE: Final = "\x1b"
END: Final = "\x04"
"""As Ctrl-D."""

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(Exception):
    """A signal asks the program to end. `code`: the exit code, as shells have it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class Terminal:
    """A context manager. However its block ends, the terminal is as it was before."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours
        self._in, self._out = sys.stdin.fileno(), sys.stdout
        self._before: list[Any] = termios.tcgetattr(self._in)
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in _ENDING:
            self._handlers[number] = signal.signal(number, _end)
        self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._suspend)
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number in _ENDING:  # a second signal must not keep the terminal from being given back
            signal.signal(number, signal.SIG_IGN)
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def draw(self, lines: Sequence[Line]) -> None:
        """In one write, over what was there: nothing flickers."""
        drawn = "\x1b[K\n".join(self._styled(line) for line in lines)
        self._write(f"\x1b[H{drawn}\x1b[K\x1b[J")

    def key(self, seconds: float) -> str:
        """What is typed next, "" if nothing is within this time. Special keys are ESCAPE; the end of input is END."""
        ready, _, _ = select.select([self._in], [], [], max(0.0, seconds))
        if not ready:
            return ""
        pressed = os.read(self._in, 64)
        if not pressed:
            return END
        return ESCAPE if pressed[:1] == b"\x1b" else pressed.decode("utf-8", "ignore")

    def _styled(self, line: Line) -> str:
        if not self._colours or line.style == PLAIN:
            return line.text
        return f"\x1b[{line.style}m{line.text}\x1b[0m"

    def _take(self) -> None:
        tty.setcbreak(self._in)
        self._write(_ENTER)

    def _give_back(self) -> None:
        self._write(_LEAVE)
        termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)

    def _suspend(self, _: int, __: FrameType | None) -> None:
        """Ctrl-Z: give the terminal back until the program goes on."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _end(number: int, _: FrameType | None) -> None:
    raise Ended(number)
