"""`mintonce completion SHELL`: completion of commands and options, made by shtab."""

import argparse
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

from mintonce.cli import _output

SHELLS: Final = ("bash", "zsh", "tcsh")
_FILES: Final = ("FILE", "PEM")


class NoCompletion(Exception):
    """shtab is not installed."""


def completion(parser: argparse.ArgumentParser, shell: str) -> None:
    """Print the script. Raises NoCompletion."""
    try:
        import shtab
    except ModuleNotFoundError as error:
        raise NoCompletion("completion needs shtab: pip install 'mintonce[completion]'") from error
    for action in _actions(parser):
        if action.metavar in _FILES:
            named: Any = action  # shtab looks for this attribute, which argparse does not know
            named.complete = shtab.FILE
    _output.script(shtab.complete(parser, shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Of the parser and its commands."""
    for action in parser._actions:  # noqa: SLF001 - as shtab does: argparse has no other way
        yield action
        for command in _commands(action):
            yield from _actions(command)


def _commands(action: Any) -> Iterable[argparse.ArgumentParser]:
    """The parsers of commands, if the action is about commands."""
    commands = cast("dict[str, argparse.ArgumentParser]", action.choices)
    return commands.values() if isinstance(action, argparse._SubParsersAction) else ()  # noqa: SLF001 - its only name
