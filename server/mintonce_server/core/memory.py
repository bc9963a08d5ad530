"""The tokens that this process holds."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterator
from typing import Final

from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Token

NEVER: Final = -math.inf


class Entry:
    """What this process knows of a key.

    Attributes:
        token: the newest one seen, unless it was rejected.
        barred: every generation up to this one was rejected.
        rejected: fingerprint of the token that was rejected last, "" for none.
        confirmed_at: when the store was asked that last said that `token` is current, on the monotonic clock.
        ever_held: whether there ever was a token.
        asked_at: when a caller last wanted it, on the monotonic clock.
        watchers: how many watches follow it.
        news: set when `token` changes, then replaced by a new one: take it before you look at `token`.
    """

    __slots__ = (
        "asked_at",
        "barred",
        "confirmed_at",
        "ever_held",
        "key",
        "key_hash",
        "news",
        "rejected",
        "token",
        "watchers",
    )

    def __init__(self, key: TokenKey, key_hash: str, now: float) -> None:
        self.key = key
        self.key_hash = key_hash
        self.token: Token | None = None
        self.barred = 0
        self.rejected = ""
        self.confirmed_at = NEVER
        self.ever_held = False
        self.asked_at = now
        self.watchers = 0
        self.news = asyncio.Event()

    @property
    def newest(self) -> int:
        """The highest generation seen here, rejected ones too; 0 for none."""
        return max(self.token.generation if self.token else 0, self.barred)

    def offer(self, token: Token, confirmed_at: float) -> bool:
        """Take the token if it is newer than what is here, and not rejected; the same one is confirmed."""
        if token.generation <= self.newest:
            self.confirm(token.generation, confirmed_at)
            return False
        self.token = token
        self.confirmed_at = confirmed_at
        self.ever_held = True
        self.tell()
        return True

    def confirm(self, generation: int, at: float) -> None:
        """The store, asked at this time, held this generation."""
        if self.token is not None and self.token.generation == generation:
            self.confirmed_at = max(self.confirmed_at, at)

    def bar(self, generation: int) -> bool:
        """Forget the token if it is of this generation or older. Whether there was one to forget."""
        self.barred = max(self.barred, generation)
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
        self.count_of: Counter[str] = Counter()
        """How many entries each client has."""
        self.get = self._by_key.get
        self.named = self._by_hash.get

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._by_key.values()))

    def add(self, entry: Entry) -> Entry:
        self._by_key[entry.key] = entry
        self.count_of[entry.key.client] += 1
        self._by_hash[entry.key_hash] = entry
        return entry

    def drop(self, entry: Entry) -> None:
        if self._by_key.pop(entry.key, None) is not None:
            self.count_of[entry.key.client] -= 1
        self._by_hash.pop(entry.key_hash, None)
