"""Proves that a store can do what the service needs, by doing it: for `mintonced check`.

All that is written is a scratch key for each server that keeps keys. It has a short TTL and is deleted at the end.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from random import Random
from typing import Final

from redis.crc import key_slot

from mintonce_server.common.causes import Cause
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.store.causes import lacking
from mintonce_server.store.link import Link
from mintonce_server.store.names import PREFIX, Names
from mintonce_server.store.notifications import Notifications
from mintonce_server.store.rehearsing import Rehearsal
from mintonce_server.store.surveying import Ours, Proof, Rights, rights_at, survey
from mintonce_server.store.topology import Part
from mintonce_server.store.topology.url import Target, read
from mintonce_server.store.wake import GAP, wakes

HEARD_WITHIN: Final = 2.0
"""Seconds for a subscription to begin, and again for the messages to arrive."""
SURVEY_SHARE: Final = 20
"""Deadlines of one operation that all questions to a server may take together."""
TRIES: Final = 100_000
"""Names that are tried until one falls to a given server of a Cluster. Each takes a few µs."""


async def prove(url: str, index_key: bytes, deadline: float, prefix: str = PREFIX) -> Proof:
    """All that can be found in one go. Whatever goes wrong is a fault in the proof.

    Raises ValueError for a URL that cannot be used.
    """
    link = Link.from_url(url, deadline=deadline, names=Names(prefix))
    ours, proof = _ours(read(url), link.names), Proof()
    try:
        await _greet(link)
        await _Proving(link, ours, Notifications(index_key), proof).run(await link.parts())
    except StoreUnavailable as error:
        proof.faults.append(await _cause(link, ours, error))
    finally:
        await link.close()
    return proof


def _ours(target: Target, names: Names) -> Ours:
    return Ours(target.kind, target.username or "default", names, target.sentinel_username or "default")


async def _greet(link: Link) -> None:
    """Raises StoreUnavailable; but not for a right that is missing, which is told with the others."""
    try:
        await link.run(link.client.ping)
    except StoreUnavailable as error:
        if not lacking(error):
            raise


async def _cause(link: Link, ours: Ours, error: StoreUnavailable) -> Cause:
    if right := ours.right_of(error):
        # Where the servers themselves could not be found, none of our rights there was looked at.
        unseen = [] if right.startswith("+sentinel") else ours.all_rights()
        return ours.without([right], f"the store at {link.name}", unseen)
    told = await link.explained(error)
    return Cause(str(told), told.remedy)


class _Proving:
    def __init__(self, link: Link, ours: Ours, notifications: Notifications, proof: Proof) -> None:
        self._link = link
        self._ours = ours
        self._notifications = notifications
        self._proof = proof
        self._spread = Random()  # noqa: S311 - chooses servers; no secret

    async def run(self, parts: Sequence[Part]) -> None:
        """Raises StoreUnavailable where the store fails in the middle."""
        hashes = {part.name: _scratch_hash(part, self._link.names) for part in parts}
        heard = _Heard()
        listening = asyncio.create_task(self._listen(heard), name="check-subscription")
        try:
            rights = {part.name: await self._survey(part, hashes[part.name]) for part in parts}
            await heard.until(lambda: GAP in heard.wakes or bool(heard.troubles))
            self._judge(rights, heard)
            if not self._proof.faults:  # else the scripts would fail for the same reasons
                await self._rehearse(hashes.values(), heard)
        finally:
            listening.cancel()
            await asyncio.wait([listening])

    async def _survey(self, part: Part, key_hash: str) -> Rights:
        name = f"the store at {part.name}"
        message = self._notifications.encode(WakeKind.FAIL, key_hash, 1)
        deadline = SURVEY_SHARE * self._link.deadline
        found = await self._link.run(lambda: survey(part, name, self._ours), deadline=deadline)
        self._proof.faults += found.faults
        self._proof.notes += found.notes
        if found.faults and not found.notes:  # of another kind than the URL says: its rights mean nothing
            return Rights()
        return await self._link.run(lambda: rights_at(part, self._ours, key_hash, message), deadline=deadline)

    def _judge(self, rights: Mapping[str, Rights], heard: "_Heard") -> None:
        """Each right that is missing once, also where the subscription lacks it, too."""
        lacks = {name: found for name, found in rights.items() if found.missing}
        right = self._ours.right_of(heard.troubles[-1]) if heard.troubles and GAP not in heard.wakes else ""
        if right:
            for found in lacks.values():
                if right not in found.missing:
                    found.missing.append(right)
                if right == "+subscribe":
                    found.unseen.append(self._ours.channel)
        self._proof.faults += [
            self._ours.without(found.missing, f"the store at {name}", found.unseen) for name, found in lacks.items()
        ]
        if GAP not in heard.wakes and not (right and lacks):
            self._proof.faults.append(self._deaf(heard))

    async def _rehearse(self, hashes: Iterable[str], heard: "_Heard") -> None:
        sent: set[Wake] = set()
        for key_hash in hashes:
            done = await Rehearsal(self._link, self._notifications, key_hash).run()
            if isinstance(done, Cause):
                self._proof.faults.append(done)
            else:
                sent.add(Wake(WakeKind.COMMIT, key_hash, done))
        if not await heard.until(lambda: sent <= heard.wakes):
            self._proof.faults.append(self._deaf(heard))

    async def _listen(self, heard: "_Heard") -> None:
        async with aclosing(wakes(self._link, self._notifications.decode, heard.trouble, self._spread)) as messages:
            async for wake in messages:
                heard.wake(wake)

    def _deaf(self, heard: "_Heard") -> Cause:
        name = f"the store at {self._link.name}"
        if not heard.troubles:
            return Cause(
                f"what is published to {self._ours.names.wake_channel} at {name} does not arrive",
                "See whether something in between passes PUBLISH and SUBSCRIBE on, and whether the servers reach each "
                "other.",
            )
        last = heard.troubles[-1]
        if right := self._ours.right_of(last):
            return self._ours.without([right], name, [self._ours.channel])
        return Cause(f"no subscription to {self._ours.names.wake_channel}: {last}", last.remedy)


class _Heard:
    """What came by the wake channel so far."""

    def __init__(self) -> None:
        self.wakes: set[Wake] = set()
        self.troubles: list[StoreUnavailable] = []
        self._news = asyncio.Event()

    def wake(self, wake: Wake) -> None:
        self.wakes.add(wake)
        self._news.set()

    def trouble(self, error: StoreUnavailable) -> None:
        self.troubles.append(error)
        self._news.set()

    async def until(self, true: Callable[[], bool]) -> bool:
        """Whether it came true within HEARD_WITHIN seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARD_WITHIN):
                while not true():
                    await self._news.wait()
                    self._news.clear()
        return true()


def _scratch_hash(part: Part, names: Names) -> str:
    """A key of this server's. Raises StoreUnavailable for a server without slots."""
    for _ in range(TRIES):
        key_hash = secrets.token_hex(16)
        if part.has(key_slot(names.record(key_hash).encode())):
            return key_hash
    raise StoreUnavailable(
        f"server {part.name} of the store has no slots", remedy="Give it slots, or take it out of the Cluster."
    )
