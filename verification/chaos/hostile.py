"""What others say is not the truth: the store, the wake channel, an issuer or a caller sends what it never should."""

import asyncio
from typing import Final

from chaos.guards import BROKEN
from chaos.processes import Member
from chaos.stage import Scenario, Stage
from chaos.stores import OUTAGE, STORE, keeping_the_long_one

from mintonce import MintonceError
from mintonce_server.core.ports import WakeKind
from mintonce_server.store.keyring import FIXED_KEYRING
from mintonce_server.store.names import USUAL
from mintonce_server.store.notifications import Notifications
from support.broken_tls import BREAKS
from support.eventually import eventually
from support.garbage import REPLIES

NEVER_WAS: Final = (2**53, 2**62)
ROUNDS: Final = 20
READ_ONLY: Final = (
    ("REPLICAOF", "127.0.0.1", 1),
    ("CONFIG", "SET", "replica-read-only", "no"),
    ("FLUSHALL",),
    ("SCRIPT", "FLUSH"),
    ("CONFIG", "SET", "replica-read-only", "yes"),
)
"""A server without data was promoted by mistake, and demoted again."""
ISSUER_REASONS: Final = ("ISSUER_UNAVAILABLE", "ISSUER_MALFORMED")


BACK_WITHIN: Final = 10.0
"""Seconds. The promise is two for an issuer that is back; the machine is busy."""
REMEMBERED: Final = 0.5


async def empty_and_read_only(stage: Stage) -> None:
    """The store answers reads with nothing and writes with READONLY. Memory carries every key through it."""
    (server, *_) = await stage.rig.topology.primaries()
    async with stage.fault(STORE, lossy=True, outage=True):
        for words in READ_ONLY:
            await server.command(*words)
        calls = await stage.ask_for(OUTAGE, stage.long)
        await server.command("REPLICAOF", "NO", "ONE")
    failed = sum(not call.ok for call in calls)
    stage.expect(not failed, f"{failed} of {len(calls)} calls failed for a key that every replica held")


async def replies_garbled(stage: Stage) -> None:
    """Each reply of the store is something else, in every way that we know."""
    async with stage.fault(STORE, outage=True):
        for garbage in REPLIES.values():
            for proxy in stage.rig.stores.values():
                proxy.garbage = garbage
                proxy.cut()  # the subscription sees it, too
            await stage.ask_for(0.1, stage.long)
        for proxy in stage.rig.stores.values():
            proxy.heal()
            proxy.cut()


async def wakes_forged(stage: Stage) -> None:
    """A client of the store publishes garbage, forgeries, and messages that were genuine once. Replicas only look."""
    audience = stage.cold(long=True)
    (first, *_) = await stage.ask_all(audience)
    texts = [*_forged(stage.rig.hash(audience)), *_genuine(stage.rig.hash(audience), first.generation)]
    async with stage.fault(STORE):
        calls = [first]
        for _ in range(ROUNDS):
            for server in await stage.rig.topology.primaries():
                await server.command("PUBLISH", USUAL.wake_channel, stage.chance.choice(texts))
            calls += await stage.ask_all(audience)
        for text in texts:
            await (await stage.rig.topology.primaries())[0].command("PUBLISH", USUAL.wake_channel, text)
        calls += await stage.ask_for(stage.rig.setup.revalidate, audience)
    stage.expect({call.jti for call in calls} == {first.jti}, "a forged message took a good token away")
    stage.expect(stage.posts(audience) == 1, f"{stage.posts(audience)} POSTs, because of messages")


def _forged(key_hash: str) -> list[bytes]:
    name = key_hash.encode()
    bodies = [b"2 reject %b 9223372036854775807" % name, b"2 commit %b %d" % (name, 2**62), b"2 reject %b 1" % name]
    return [
        b"", b"x" * 100_000, bytes(range(256)), b"1 reject %b 1" % name, b"2 commit %b %b" % (name, b"9" * 5_000),
        *(body + b" " + b"0" * 32 for body in bodies), *bodies,
    ]  # fmt: skip


def _genuine(key_hash: str, generation: int) -> list[bytes]:
    """As a client that listens can send them again, and more than that."""
    notifications = Notifications(FIXED_KEYRING.index_key)
    said = [(WakeKind.REJECT, generation), (WakeKind.REJECT, 2**62), (WakeKind.COMMIT, 2**62), (WakeKind.FAIL, 1)]
    return [notifications.encode(kind, key_hash, number) for kind, number in said]


async def generations_invented(stage: Stage) -> None:
    """Callers reject generations that never were, at every replica. They are told so, and nothing changes."""
    audience = stage.cold(long=True)
    (first, *_) = await stage.ask_all(audience)
    async with stage.watched(stage.members[0], audience), stage.fault("callers"):
        invented = (first.generation + 1, first.generation + 30_000, *NEVER_WAS)
        rejects = [
            stage.callers.reject(member, audience, generation) for generation in invented for member in stage.members
        ]
        told = {call.status for call in await asyncio.gather(*rejects)}
        after = await stage.ask_for(stage.rig.setup.revalidate, audience)
    stage.expect(told == {"INVALID_ARGUMENT"}, f"callers were told {sorted(told)}")
    stage.expect({call.jti for call in after} == {first.jti}, "a good token went")
    stage.expect(stage.posts(audience) == 1, f"{stage.posts(audience)} POSTs for generations that never were")


async def tls_broken(stage: Stage) -> None:
    """The TLS of one issuer breaks in every way. Its callers are told whose fault it is; another issuer's go on."""
    async with stage.fault("issuer"):
        for number, breaks in enumerate(BREAKS.values()):
            stage.rig.broken.breaks = breaks
            audience = f"https://{stage.name}.broken-{number}.example.com/"
            asked = [_reason_of_broken(member, audience) for member in stage.members]
            told, others = await asyncio.gather(asyncio.gather(*asked), stage.ask_all(stage.cold()))
            stage.expect(
                set(told) <= set(ISSUER_REASONS), f"callers of the broken issuer were told {sorted(set(told))}"
            )
            stage.expect(all(call.ok for call in others), "callers of the other issuer got no token")
        stage.rig.broken.breaks = None
    audience = f"https://{stage.name}.mended.example.com/"
    mended = await eventually(lambda: _reason_of_broken(stage.members[0], audience), lambda told: not told, BACK_WITHIN)
    stage.expect(not mended, f"with its TLS mended, a caller of that issuer was told {mended}")


async def _reason_of_broken(member: Member, audience: str) -> str:
    """Why a caller of the broken issuer got no token, "" if it got one. A failure that is remembered is no answer."""
    while True:
        try:
            await member.client.get(BROKEN, audience, timeout=5.0)
        except MintonceError as error:
            if "a moment ago" not in str(error):
                return error.reason
            await asyncio.sleep(error.retry_after or REMEMBERED)
        else:
            return ""


SCENARIOS: Final = (
    Scenario("read-only-empty", keeping_the_long_one(empty_and_read_only), ("single",)),
    Scenario("replies-garbled", keeping_the_long_one(replies_garbled), ("single",)),
    Scenario("wakes-forged", keeping_the_long_one(wakes_forged)),
    Scenario("generations-invented", keeping_the_long_one(generations_invented)),
    Scenario("issuer-tls-broken", keeping_the_long_one(tls_broken)),
)
