"""Places for the keys of a client: a bounded number, shared fairly by the callers who ask for them."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from mintonce_server.core.memory import Entry

LOOKED_AT: Final = 32
"""Entries that are examined when room is needed: a full table must not make each new key search all of it."""

Test = Callable[[Entry], bool]


class Slots:
    """Which caller holds which places, for each client. An entry belongs to the caller that asked for its key first.

    When a client has no free place, a new key takes the place of a key that is not used. If there is none, it takes one
    from the caller that holds most, provided that this caller holds less. So one caller can use all places while
    the others do not need them, and never keeps a smaller one out.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._owner: dict[Entry, str] = {}
        self._clients: dict[str, _Client] = {}

    def is_full(self, client: str) -> bool:
        """Whether a new key of the client needs the place of another one."""
        places = self._clients.get(client)
        return places is not None and len(places.all) >= self._most

    def add(self, entry: Entry, caller: str) -> Entry:
        """Give the entry a place."""
        self._owner[entry] = caller
        self._clients.setdefault(entry.key.client, _Client()).add(entry, caller)
        return entry

    def remove(self, entry: Entry) -> None:
        """Free the entry's place, if it has one."""
        caller = self._owner.pop(entry, None)
        if caller is None:
            return
        places = self._clients[entry.key.client]
        places.remove(entry, caller)
        if not places.all:
            del self._clients[entry.key.client]

    def replaceable(self, client: str, caller: str, is_idle: Test, may_go: Test) -> Entry | None:
        """The entry that a new key of this caller replaces; None if the caller has to wait.

        Args:
            is_idle: whether an entry is unused, so that anyone may have its place.
            may_go: whether an entry in use can be dropped without losing its token.
        """
        places = self._clients[client]
        if entry := _least_recent(places.all, is_idle):
            return entry
        held = len(places.of.get(caller, ()))
        largest = places.largest()
        if held and len(places.of[largest]) <= held + 1:
            return None  # two callers with equal shares must not take turns on one place
        return _least_recent(places.of[largest], may_go)


class _Client:
    """The places of one client, all together and by caller."""

    def __init__(self) -> None:
        self.all: OrderedDict[Entry, None] = OrderedDict()
        self.of: dict[str, OrderedDict[Entry, None]] = {}
        self._with: dict[int, dict[str, None]] = {}
        """The callers by how many places they hold: the largest is found without a search."""
        self._highest = 0

    def add(self, entry: Entry, caller: str) -> None:
        self.all[entry] = None
        self.of.setdefault(caller, OrderedDict())[entry] = None
        self._moved(caller, len(self.of[caller]) - 1, len(self.of[caller]))

    def remove(self, entry: Entry, caller: str) -> None:
        held = self.of[caller]
        del self.all[entry], held[entry]
        self._moved(caller, len(held) + 1, len(held))
        if not held:
            del self.of[caller]

    def largest(self) -> str:
        """The caller that holds most; of equal ones the one that has held so many for longest."""
        return next(iter(self._with[self._highest]))

    def _moved(self, caller: str, before: int, after: int) -> None:
        if before:
            del self._with[before][caller]
            if not self._with[before]:
                del self._with[before]
        if after:
            self._with.setdefault(after, {})[caller] = None
        self._highest = max(self._highest, after)
        if self._highest and self._highest not in self._with:
            self._highest -= 1  # counts change by one, so the next lower one is taken


def _least_recent(entries: OrderedDict[Entry, None], test: Test) -> Entry | None:
    """Of the next few that pass the test, the one that was asked for longest ago. The others go to the end."""
    found: Entry | None = None
    for _ in range(min(LOOKED_AT, len(entries))):
        entry = next(iter(entries))
        entries.move_to_end(entry)
        if test(entry) and (found is None or entry.asked_at < found.asked_at):
            found = entry
    return found
