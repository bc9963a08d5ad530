"""Bounded things that several owners hold, and which of the owners holds most."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Shares(Generic[T]):
    """Each item has one owner. When room is needed, the largest owner gives it, so that small ones lose nothing.

    Attributes:
        all: the items with their owners, in the order in which they came.
    """

    def __init__(self) -> None:
        self.all: OrderedDict[T, str] = OrderedDict()
        self._of: dict[str, OrderedDict[T, None]] = {}
        self._with: dict[int, dict[str, None]] = {}
        """The owners by how many items they have: the largest is found without a search."""
        self._highest = 0

    def add(self, item: T, owner: str) -> None:
        self.all[item] = owner
        held = self._of.get(owner)
        if held is None:
            held = self._of[owner] = OrderedDict()
        held[item] = None
        self._moved(owner, len(held) - 1, len(held))

    def remove(self, item: T) -> None:
        """Does nothing for an item that is not there."""
        owner = self.all.pop(item, None)
        if owner is None:
            return
        held = self._of[owner]
        del held[item]
        self._moved(owner, len(held) + 1, len(held))
        if not held:
            del self._of[owner]

    def count(self, owner: str) -> int:
        return len(self._of.get(owner, ()))

    def of(self, owner: str) -> OrderedDict[T, None]:
        """The owner's items. Raises KeyError for an owner without any."""
        return self._of[owner]

    def largest(self) -> str:
        """The owner with most items; of equal ones the one that has had so many for longest. Raises KeyError."""
        return next(iter(self._with[self._highest]))

    def _moved(self, owner: str, before: int, after: int) -> None:
        if before:
            del self._with[before][owner]
            if not self._with[before]:
                del self._with[before]
        if after:
            self._with.setdefault(after, {})[owner] = None
        self._highest = max(self._highest, after)
        if self._highest and self._highest not in self._with:
            self._highest -= 1  # counts change by one, so the next lower one is taken
