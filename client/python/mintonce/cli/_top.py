"""`mintonce top`: the keys of a replica, live."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from time import monotonic, sleep
from typing import Final

from mintonce.cli import _output
from mintonce.cli._http import Address, Snapshot, address_of, drawn, fetch
from mintonce.cli._screen import SORTS, View, screen
from mintonce.errors import Unreachable

LONGEST: Final = 200
"""Characters of a filter."""


def top(environ: Mapping[str, str], args: argparse.Namespace) -> int:
    """Until the reader quits. Returns the exit code. Raises Unreachable or Refused if the first try fails."""
    source = _Source(address_of(args.http), environ, args.timeout)
    if sys.stdin.isatty() and sys.stdout.isatty():
        return _live(source, args.interval)
    return _lines(source, args.interval, args.count)


@dataclass(frozen=True, slots=True)
class _Source:
    address: Address
    environ: Mapping[str, str] = field(repr=False)
    timeout: float

    def fetch(self, find: str = "") -> Snapshot:
        return fetch(self.address, self.environ, self.timeout, {"find": find} if find else {})


def _lines(source: _Source, interval: float, count: int) -> int:
    """Without a terminal: one JSON object at a time."""
    seen = 0
    while True:
        try:
            _output.line(json.dumps(source.fetch()))
            seen += 1
        except Unreachable as error:
            if not seen:
                raise
            _output.note(str(error))
        if seen == count:
            return 0
        sleep(interval)


def _live(source: _Source, interval: float) -> int:
    from mintonce.cli._terminal import Ended, Terminal  # only here: not every system has these terminals

    snapshot, view = source.fetch(), View()
    refreshed, due = datetime.now(UTC), monotonic() + interval
    try:
        with Terminal(colours=not os.environ.get("NO_COLOR")) as terminal:
            while True:
                size = os.get_terminal_size(sys.stdout.fileno())  # not COLUMNS: it stays when a window changes
                shown = drawn(partial(screen, snapshot, view, size.columns, size.lines), source.address)
                terminal.draw(shown)
                before, view = view, after(view, terminal.key(due - monotonic()))
                if view.has_ended:
                    return 0
                if monotonic() < due and view.find == before.find:
                    continue
                try:
                    snapshot, refreshed = source.fetch(view.find), datetime.now(UTC)
                    view = replace(view, stale="")
                except Unreachable as error:
                    view = replace(view, stale=f"not refreshed since {refreshed:%H:%M:%S} UTC: {error}")
                due = monotonic() + interval
    except Ended as ended:
        return ended.code


def after(view: View, typed: str) -> View:
    """What keys change."""
    for letter in typed:
        view = _commanded(view, letter) if view.typing is None else _typed(view, view.typing, letter)
    return view


def _commanded(view: View, letter: str) -> View:
    names = list(SORTS)
    match letter:
        case "q" | "\x04":
            return replace(view, has_ended=True)
        case "s":
            return replace(view, sort=names[(names.index(view.sort) + 1) % len(names)])
        case "/":
            return replace(view, typing=view.find)
        case _:
            return view


def _typed(view: View, text: str, letter: str) -> View:
    match letter:
        case "\x04":
            return replace(view, has_ended=True)
        case "\x1b":
            return replace(view, typing=None)
        case "\r" | "\n":
            return replace(view, typing=None, find=text)
        case "\x7f" | "\b":
            return replace(view, typing=text[:-1])
        case _:
            return replace(view, typing=(text + letter)[:LONGEST]) if letter.isprintable() else view
