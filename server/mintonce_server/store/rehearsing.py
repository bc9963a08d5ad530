"""Runs every script of the service on a scratch key, as a replica would in a token's life."""

import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, cast

from mintonce_server.common.causes import Cause
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.store.link import Link
from mintonce_server.store.notifications import Notifications
from mintonce_server.store.scripts import Scripts

SCRATCH_MS: Final = 30_000
"""A scratch key's life, should it not be deleted."""

_DELETE: Final = "return redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])"
_REMEDY: Final = "Use Redis 7 or newer, or Valkey, itself: something in between, or an imitation, may act otherwise."


class Strange(Exception):
    """A script answered something else than it must."""

    def __init__(self, script: str) -> None:
        super().__init__(script)
        self.script = script


class Rehearsal:
    """Of one scratch key."""

    def __init__(self, link: Link, notifications: Notifications, key_hash: str) -> None:
        self._link = link
        self._scripts = Scripts(link.client, notifications, link.names, meta_ms=SCRATCH_MS, brief_ms=SCRATCH_MS)
        self._hash = key_hash
        self._nonce = secrets.token_hex(16)

    async def run(self) -> int | Cause:
        """The generation whose commit was published; or what went wrong, if it was not the connection.

        Raises StoreUnavailable.
        """
        try:
            return await self._life()
        except Strange as strange:
            return Cause(f"the script '{strange.script}' of the store at {self._link.name} acts otherwise", _REMEDY)
        finally:
            await self._delete()

    async def _life(self) -> int:
        failed = await self._lease("acquire")
        await self._one("renew", lambda: self._scripts.renew(
            self._hash, nonce=self._nonce, generation=failed, lease=SCRATCH_MS
        ))  # fmt: skip
        await self._one("fail", lambda: self._scripts.fail(
            self._hash, nonce=self._nonce, generation=failed, retry=0, failure="a rehearsal", credential_version=1,
            while_live=False, own=True, proof="",
        ))  # fmt: skip
        generation = await self._lease("acquire")
        await self._word("commit", b"OK", lambda: self._commit(generation))
        await self._word("acquire", b"HIT", self._acquire)
        await self._one("reseal", lambda: self._scripts.reseal(
            self._hash, generation=generation, before=b"sealed", after=b"sealed again"
        ))  # fmt: skip
        await self._word("reject", b"CURRENT", lambda: self._scripts.reject(
            self._hash, generation=generation, min_interval=0
        ))  # fmt: skip
        await self._word("barrier", b"OK", lambda: self._scripts.barrier(
            self._hash, generation=generation + 1, fingerprint="0" * 32, min_interval=0
        ))  # fmt: skip
        for failures in range(2):
            await self._word("enter", b"GO", lambda: self._scripts.enter(self._hash, nonce=self._nonce))
            if await self._link.run(partial(self._learn, str(failures))) != failures:
                raise Strange("learn")
        return generation

    async def _learn(self, nonce: str) -> object:
        return await self._scripts.learn(self._hash, nonce=nonce, began=0, failure="a rehearsal", pause=SCRATCH_MS)

    async def _acquire(self) -> object:
        return await self._scripts.acquire(
            self._hash,
            nonce=self._nonce,
            lease=SCRATCH_MS,
            credential_version=1,
            newer_than=0,
            min_remaining=0,
            adopt=False,
            proof="",
        )

    async def _commit(self, generation: int) -> object:
        return await self._scripts.commit(
            self._hash,
            generation=generation,
            ttl=SCRATCH_MS,
            latest=2**52,
            credential_version=1,
            leeway=0,
            cap=0,
            payload=b"sealed",
            fingerprint="0" * 32,
            provisional=0,
            restored=False,
        )

    async def _lease(self, script: str) -> int:
        words = _words(await self._link.run(self._acquire))
        if len(words) > 1 and words[0] == b"LEASE" and isinstance(words[1], int):
            return words[1]
        raise Strange(script)

    async def _word(self, script: str, word: bytes, act: Callable[[], Awaitable[object]]) -> None:
        if _words(await self._link.run(act))[:1] != [word]:
            raise Strange(script)

    async def _one(self, script: str, act: Callable[[], Awaitable[object]]) -> None:
        if await self._link.run(act) != 1:
            raise Strange(script)

    async def _delete(self) -> None:
        keys = (*self._link.names.keys(self._hash), self._link.names.issuer(self._hash))
        try:
            await self._link.run(lambda: self._link.client.eval(_DELETE, len(keys), *keys))
        except StoreUnavailable:
            pass  # its TTL ends it


def _words(reply: object) -> list[object]:
    return cast(list[object], reply) if isinstance(reply, list) else []
