"""Which subjects of a part are run."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class UnknownSubject(Exception):
    """A name that a part does not know. The text lists those that it knows."""


def chosen(subjects: Mapping[str, T], only: Sequence[str]) -> list[T]:
    """Those that are named, or all of them if none is. Raises UnknownSubject."""
    unknown = [name for name in only if name not in subjects]
    if unknown:
        raise UnknownSubject(f"there is no {', '.join(unknown)}: use some of {', '.join(subjects)}")
    return [subjects[name] for name in only or subjects]
