"""Checks that a store can do what the service needs, by doing it. For `mintonced check`.

It only writes one scratch key on each server that stores keys, with a short TTL, and deletes it at the end.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial
from random import Random
from typing import Final, cast

from redis.crc import key_slot

from mintonce_server.common.causes import Cause
from mintonce_server.common.redis_url import Target, parse_redis_url
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.store.causes import lacking
from mintonce_server.store.link import Link
from mintonce_server.store.names import PREFIX, Names
from mintonce_server.store.notifications import GAP, Notifications, wakes
from mintonce_server.store.scripts import Scripts
from mintonce_server.store.survey import Access, Rights, StoreReport, rights_at, survey
from mintonce_server.store.topology.servers import Shard

SCRATCH_MS: Final = 30_000
"""TTL of a scratch key that is not deleted."""

_DELETE: Final = "return redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])"
_REMEDY: Final = "Connect to Redis 6.2 or newer, or to Valkey: proxies and compatible servers may behave differently."

RECEIVED_WITHIN: Final = 2.0
"""Seconds for a subscription to begin, and again for the messages to arrive."""

SURVEY_SHARE: Final = 20
"""Time for all questions to a server, as a multiple of an operation's deadline."""

TRIES: Final = 100_000
"""Maximum number of names to try until one belongs to a given server of a Cluster. Each takes a few µs."""


class UnexpectedAnswer(Exception):
    """A script gave a wrong answer."""

    def __init__(self, script: str) -> None:
        super().__init__(script)
        self.script = script


class Rehearsal:
    """Runs every script of the service on a scratch key, as a replica would in a token's life."""

    def __init__(self, link: Link, notifications: Notifications, key_hash: str) -> None:
        self._link = link
        self._scripts = Scripts(link.client, notifications, link.names, meta_ms=SCRATCH_MS, brief_ms=SCRATCH_MS)
        self._hash = key_hash
        self._nonce = secrets.token_hex(16)

    async def run(self) -> int | Cause:
        """The generation whose commit was published, or what is wrong with the server. Raises StoreUnavailable."""
        try:
            return await self._life()
        except UnexpectedAnswer as error:
            return Cause(f"the script '{error.script}' gives a wrong answer in the store at {self._link.name}", _REMEDY)
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
                raise UnexpectedAnswer("learn")
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
            min_ttl=0,
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
            expiry_margin=0,
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
        raise UnexpectedAnswer(script)

    async def _word(self, script: str, word: bytes, act: Callable[[], Awaitable[object]]) -> None:
        if _words(await self._link.run(act))[:1] != [word]:
            raise UnexpectedAnswer(script)

    async def _one(self, script: str, act: Callable[[], Awaitable[object]]) -> None:
        if await self._link.run(act) != 1:
            raise UnexpectedAnswer(script)

    async def _delete(self) -> None:
        keys = (*self._link.names.keys(self._hash), self._link.names.issuer(self._hash))
        try:
            await self._link.run(lambda: self._link.client.eval(_DELETE, len(keys), *keys))
        except StoreUnavailable:
            pass  # its TTL removes it


def _words(reply: object) -> list[object]:
    return cast(list[object], reply) if isinstance(reply, list) else []


async def check_store(url: str, index_key: bytes, deadline: float, prefix: str = PREFIX) -> StoreReport:
    """Check everything in one go. Every error becomes a fault in the report.

    Raises ValueError for a URL that cannot be used.
    """
    link = Link.from_url(url, deadline=deadline, names=Names(prefix))
    access, report = _access(parse_redis_url(url), link.names), StoreReport()
    try:
        await _greet(link)
        await _Check(link, access, Notifications(index_key), report).run(await link.run(link.shards))
    except StoreUnavailable as error:
        report.faults.append(await _cause(link, access, error))
    finally:
        await link.close()
    return report


def _access(target: Target, names: Names) -> Access:
    return Access(target.kind, target.username or "default", names, target.sentinel_username or "default")


async def _greet(link: Link) -> None:
    """Raises StoreUnavailable, except for a missing right, which is reported with the others."""
    try:
        await link.run(link.client.ping)
    except StoreUnavailable as error:
        if not lacking(error):
            raise


async def _cause(link: Link, access: Access, error: StoreUnavailable) -> Cause:
    if right := access.right_of(error):
        # If the servers could not be found, our rights there were not checked.
        unseen = [] if right.startswith("+sentinel") else access.all_rights()
        return access.without([right], f"the store at {link.name}", unseen)
    explained = await link.explained(error)
    return Cause(str(explained), explained.remedy)


class _Check:
    def __init__(self, link: Link, access: Access, notifications: Notifications, report: StoreReport) -> None:
        self._link = link
        self._access = access
        self._notifications = notifications
        self._report = report
        self._rng = Random()  # noqa: S311 - chooses servers; no secret

    async def run(self, shards: Sequence[Shard]) -> None:
        """Raises StoreUnavailable if the store fails during the check."""
        hashes = {shard.name: _scratch_hash(shard, self._link.names) for shard in shards}
        received = _Received()
        listening = asyncio.create_task(self._listen(received), name="check-subscription")
        try:
            rights = {shard.name: await self._survey(shard, hashes[shard.name]) for shard in shards}
            await received.until(lambda: GAP in received.wakes or bool(received.errors))
            self._judge(rights, received)
            if not self._report.faults:  # otherwise the scripts would fail for the same reasons
                await self._rehearse(hashes.values(), received)
        finally:
            listening.cancel()
            await asyncio.wait([listening])

    async def _survey(self, shard: Shard, key_hash: str) -> Rights:
        name = f"the store at {shard.name}"
        message = self._notifications.encode(WakeKind.FAIL, key_hash, 1)
        deadline = SURVEY_SHARE * self._link.deadline
        found = await self._link.run(lambda: survey(shard, name, self._access), deadline=deadline)
        self._report.faults += found.faults
        self._report.notes += found.notes
        if found.faults and not found.notes:  # of another kind than the URL says: its rights are irrelevant
            return Rights()
        return await self._link.run(lambda: rights_at(shard, self._access, key_hash, message), deadline=deadline)

    def _judge(self, rights: Mapping[str, Rights], received: "_Received") -> None:
        """Report each missing right once, even if the subscription lacks it, too."""
        lacks = {name: found for name, found in rights.items() if found.missing}
        right = self._access.right_of(received.errors[-1]) if received.errors and GAP not in received.wakes else ""
        if right:
            for found in lacks.values():
                if right not in found.missing:
                    found.missing.append(right)
                if right == "+subscribe":
                    found.unseen.append(self._access.channel)
        self._report.faults += [
            self._access.without(found.missing, f"the store at {name}", found.unseen) for name, found in lacks.items()
        ]
        if GAP not in received.wakes and not (right and lacks):
            self._report.faults.append(self._no_messages(received))

    async def _rehearse(self, hashes: Iterable[str], received: "_Received") -> None:
        sent: set[Wake] = set()
        for key_hash in hashes:
            done = await Rehearsal(self._link, self._notifications, key_hash).run()
            if isinstance(done, Cause):
                self._report.faults.append(done)
            else:
                sent.add(Wake(WakeKind.COMMIT, key_hash, done))
        if not await received.until(lambda: sent <= received.wakes):
            self._report.faults.append(self._no_messages(received))

    async def _listen(self, received: "_Received") -> None:
        async with aclosing(wakes(self._link, self._notifications.decode, received.error, self._rng)) as messages:
            async for wake in messages:
                received.wake(wake)

    def _no_messages(self, received: "_Received") -> Cause:
        name = f"the store at {self._link.name}"
        if not received.errors:
            return Cause(
                f"messages on {self._access.names.wake_channel} at {name} do not arrive",
                "Check that proxies in between forward PUBLISH and SUBSCRIBE, and that the servers reach each other.",
            )
        last = received.errors[-1]
        if right := self._access.right_of(last):
            return self._access.without([right], name, [self._access.channel])
        return Cause(f"no subscription to {self._access.names.wake_channel}: {last}", last.remedy)


class _Received:
    """What the subscription received so far."""

    def __init__(self) -> None:
        self.wakes: set[Wake] = set()
        self.errors: list[StoreUnavailable] = []
        self._news = asyncio.Event()

    def wake(self, wake: Wake) -> None:
        self.wakes.add(wake)
        self._news.set()

    def error(self, error: StoreUnavailable) -> None:
        self.errors.append(error)
        self._news.set()

    async def until(self, true: Callable[[], bool]) -> bool:
        """Whether the condition became true within RECEIVED_WITHIN seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RECEIVED_WITHIN):
                while not true():
                    await self._news.wait()
                    self._news.clear()
        return true()


def _scratch_hash(shard: Shard, names: Names) -> str:
    """The hash of a key on this server. Raises StoreUnavailable for a server without slots."""
    for _ in range(TRIES):
        key_hash = secrets.token_hex(16)
        if shard.has(key_slot(names.record(key_hash).encode())):
            return key_hash
    raise StoreUnavailable(
        f"server {shard.name} of the store has no slots", remedy="Assign slots to it, or remove it from the Cluster."
    )
