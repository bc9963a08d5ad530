"""The tokens that this process holds."""

import asyncio
import math
from collections.abc import Iterator
from typing import Final

from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Token

NEVER: Final = -math.inf


class Entry:
    """What this process knows of a key.

    Attributes:
        token: the newest live one seen, unless it was rejected. It stays here when its life is over.
        barred: every generation of the store's up to this one was rejected, or begun before a rejection.
        barred_at: when this process learned that, on the monotonic clock.
        rejected: fingerprint of the token that was rejected last, "" for none.
        rejected_at: when a rejection at this replica was accepted last, on the monotonic clock.
        rejected_by: the caller that made it, "" for none.
        confirmed_at: when the store was asked that last said that `token` is current, on the monotonic clock.
        is_gone: whether the store, asked last, had not `token` and did not take it back: it may have been rejected.
        doubts: how many hints said that `token` may be rejected. What the store said before one does not count.
        store_failed_at: when the key's part of the store was last asked in vain; NEVER since it answered.
        ever_held: whether there ever was a token.
        asked_at: when a caller last wanted it, on the monotonic clock.
        asked_again: whether a caller wanted it since `token` came.
        wanted_by: the caller that made this replica look for a token last, "" for none.
        watchers: how many watches follow it.
        news: set when `token` changes, then replaced by a new one: take it before you look at `token`.
    """

    __slots__ = (
        "asked_again",
        "asked_at",
        "barred",
        "barred_at",
        "confirmed_at",
        "doubts",
        "ever_held",
        "is_gone",
        "key",
        "key_hash",
        "news",
        "rejected",
        "rejected_at",
        "rejected_by",
        "store_failed_at",
        "token",
        "wanted_by",
        "watchers",
    )

    def __init__(self, key: TokenKey, key_hash: str, now: float) -> None:
        self.key = key
        self.key_hash = key_hash
        self.token: Token | None = None
        self.barred = 0
        self.barred_at = NEVER
        self.rejected = ""
        self.rejected_at = NEVER
        self.rejected_by = ""
        self.confirmed_at = NEVER
        self.is_gone = False
        self.doubts = 0
        self.store_failed_at = NEVER
        self.ever_held = False
        self.asked_at = now
        self.asked_again = False
        self.wanted_by = ""
        self.watchers = 0
        self.news = asyncio.Event()

    @property
    def newest(self) -> int:
        """The highest generation seen here, rejected ones too; 0 for none."""
        return max(self.token.generation if self.token else 0, self.barred)

    def holds(self, generation: int) -> bool:
        """Whether this is the generation of the token here."""
        return self.token is not None and self.token.generation == generation

    def over(self, now: float) -> int:
        """The generation of a token of the store's that was here and has ended; 0 for none."""
        held = self.token
        return held.generation if held is not None and not held.provisional and not held.is_live(now) else 0

    def offer(self, token: Token, confirmed_at: float, now: float) -> bool:
        """Take the token if it is live, not rejected, and newer than a live one here; the same one is confirmed."""
        held = self.token
        if held is not None and token.generation == held.generation:
            self.confirm(token.generation, confirmed_at)
            return False
        if token.generation <= self.barred or not token.is_live(now):
            return False
        # A dead token holds no place, whatever its number.
        if held is not None and held.is_live(now) and token.generation < held.generation:
            return False
        self.token = token
        self.asked_again = False
        self.confirmed_at = confirmed_at
        self.is_gone = False
        self.ever_held = True
        self.tell()
        return True

    def confirm(self, generation: int, at: float) -> None:
        """The store, asked at this time, held this generation."""
        if self.token is not None and self.token.generation == generation:
            self.confirmed_at = max(self.confirmed_at, at)
            self.is_gone = self.is_gone and at == NEVER

    def doubt(self) -> None:
        """A hint says that the token may be rejected: the store is asked before it is served again."""
        self.doubts += 1
        self.confirmed_at = NEVER

    def bar(self, generation: int, now: float) -> bool:
        """The store rejected this generation: forget it and what is older. Whether there was a token to forget."""
        if generation > self.barred:
            self.barred, self.barred_at = generation, now
        if self.token is None or self.token.generation > generation:
            return False
        self.rejected = self.token.access_token.fingerprint()
        self.token = None
        return True

    def tell(self) -> None:
        """Wake the watches."""
        self.news.set()
        self.news = asyncio.Event()

    def live(self, now: float) -> Token | None:
        """The token, if a resource server would still take it."""
        return self.token if self.token is not None and self.token.is_live(now) else None


class Memory:
    """The entries, by key and by the key's name in the store."""

    def __init__(self) -> None:
        self._by_key: dict[TokenKey, Entry] = {}
        self._by_hash: dict[str, Entry] = {}
        self.get = self._by_key.get
        self.named = self._by_hash.get

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._by_key.values()))

    def add(self, entry: Entry) -> Entry:
        self._by_key[entry.key] = entry
        self._by_hash[entry.key_hash] = entry
        return entry

    def drop(self, entry: Entry) -> None:
        self._by_key.pop(entry.key, None)
        self._by_hash.pop(entry.key_hash, None)
