"""Every way in which Python turns something into text."""

import dataclasses
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable, Sequence
from typing import Any


def all_of(token: Any, source: Any, clients: Sequence[Any], error: BaseException | None) -> dict[str, str]:
    """By name. A way that fails gives the text of its error."""
    said: dict[str, str] = {}
    things = {"token": token, "source": source, "error": error} | {
        f"client{number}": client for number, client in enumerate(clients)
    }
    for name, thing in things.items():
        if thing is not None:
            said |= {f"{name}.{way}": _attempt(write, thing) for way, write in _WAYS.items()}
    while error is not None:
        said[f"error.trace{len(said)}"] = "".join(traceback.format_exception(error))
        said[f"error.vars{len(said)}"] = repr(vars(error))
        error = error.__cause__ or error.__context__
    return said


def _attempt(write: Callable[[Any], str], thing: Any) -> str:
    try:
        return write(thing)
    except Exception as error:  # noqa: BLE001 - its text is what is wanted
        return repr(error)


def _logged(thing: Any) -> str:
    record = logging.LogRecord("testee", logging.INFO, "", 0, "%s %r", (thing, thing), None)
    return logging.Formatter().format(record)


_WAYS: dict[str, Callable[[Any], str]] = {
    "str": str,
    "repr": repr,
    "format": lambda thing: f"{thing} {thing!r} {thing!a} %s %r" % (thing, thing),
    "pprint": pprint.pformat,
    "list": lambda thing: str([thing, {"a": thing}]),
    "json": lambda thing: json.dumps(thing, default=str),
    "asdict": lambda thing: json.dumps(dataclasses.asdict(thing), default=str),
    "log": _logged,
    "pickled": lambda thing: repr(pickle.dumps(thing)),
    "unpickled": lambda thing: repr(pickle.loads(pickle.dumps(thing))),
}
