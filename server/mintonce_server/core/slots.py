"""Places for the keys of a client: a bounded number, shared fairly by the callers who ask for them."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

from mintonce_server.core.memory import Entry
from mintonce_server.core.shares import Shares

LOOKED_AT: Final = 32
"""Entries that are examined when room is needed: a full table must not make each new key search all of it."""

Test = Callable[[Entry], bool]
V = TypeVar("V")


class Slots:
    """Which caller holds which places, for each client. An entry belongs to the caller that asked for its key first.

    When a client has no free place, a new key takes the place of a key that is not used. If there is none, it takes one
    from the caller that holds most, provided that this caller holds less. So one caller can use all places while
    the others do not need them, and never keeps a smaller one out.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._clients: dict[str, Shares[Entry]] = {}

    def is_full(self, client: str) -> bool:
        """Whether a new key of the client needs the place of another one."""
        places = self._clients.get(client)
        return places is not None and len(places.all) >= self._most

    def add(self, entry: Entry, caller: str) -> Entry:
        """Give the entry a place."""
        self._clients.setdefault(entry.key.client, Shares()).add(entry, caller)
        return entry

    def remove(self, entry: Entry) -> None:
        """Free the entry's place, if it has one."""
        if (places := self._clients.get(entry.key.client)) is not None:
            places.remove(entry)
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
        held, largest = places.count(caller), places.largest()
        if held and places.count(largest) <= held + 1:
            return None  # two callers with equal shares must not take turns on one place
        return _least_recent(places.of(largest), may_go)


def _least_recent(entries: OrderedDict[Entry, V], test: Test) -> Entry | None:
    """Of the next few that pass the test, the one that was asked for longest ago. The others go to the end."""
    found: Entry | None = None
    for _ in range(min(LOOKED_AT, len(entries))):
        entry = next(iter(entries))
        entries.move_to_end(entry)
        if test(entry) and (found is None or entry.asked_at < found.asked_at):
            found = entry
    return found
