"""What is done to a fleet. Each trouble lasts some seconds and ends with what it broke in order again."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, cast

from redis.exceptions import RedisError
from soak.fleet import WITNESS, Fleet
from soak.keys import ISSUER_FAILS_FOR

from support.faulty_issuer import Fault as IssuerFault

LASTS: Final = (1.0, 6.0)
PAUSE: Final = (3.0, 10.0)
"""Seconds between two troubles of one kind of part, at least and at most."""
STORE: Final = "store"
ISSUER: Final = "issuer"
NOWHERE: Final = ("127.0.0.1", 1)
"""Where no primary is: a server that follows it stays read-only."""
Act = Callable[[Fleet, random.Random], Awaitable[None]]


async def replica_killed(fleet: Fleet, chance: random.Random) -> None:
    """SIGKILL, and a new process in its place."""
    member = chance.choice([member for member in fleet.members if member.name != WITNESS])
    async with fleet.fault("replica killed", member.name, crash=True):
        fleet.down.add(member.name)
        await member.kill()
        await _while_it_lasts(chance)
        try:
            await member.start()
        except (AssertionError, TimeoutError):
            pass  # the fleet's guard writes it down and tries again
        fleet.down.discard(member.name)


async def replica_stopped(fleet: Fleet, chance: random.Random) -> None:
    """SIGSTOP, and SIGCONT."""
    member = chance.choice([member for member in fleet.members if member.running])
    async with fleet.fault("replica stopped", member.name, stall=True):
        member.stop()
        await _while_it_lasts(chance)
        member.resume()


async def store_killed(fleet: Fleet, chance: random.Random) -> None:
    """SIGKILL, and an empty server in its place."""
    async with fleet.fault("store killed", STORE, lossy=True, crash=True):
        await fleet.server.kill()
        await _while_it_lasts(chance)
        await fleet.server.start()


async def store_stopped(fleet: Fleet, chance: random.Random) -> None:
    """SIGSTOP, and SIGCONT: late commands are carried out."""
    async with fleet.fault("store stopped", STORE, stall=True):
        fleet.server.stop()
        await _while_it_lasts(chance)
        fleet.server.resume()


async def store_emptied(fleet: Fleet, chance: random.Random) -> None:
    """All data and scripts are gone from one moment to the next."""
    del chance
    async with fleet.fault("store emptied", STORE, lossy=True):
        await _command(fleet, "FLUSHALL")
        await _command(fleet, "SCRIPT", "FLUSH")


async def store_read_only(fleet: Fleet, chance: random.Random) -> None:
    """It has become a replica: each write gets READONLY."""
    async with fleet.fault("store read-only", STORE, outage=True):
        await _command(fleet, "REPLICAOF", *NOWHERE)
        await _while_it_lasts(chance)
        await _command(fleet, "REPLICAOF", "NO", "ONE")


async def store_empty_and_read_only(fleet: Fleet, chance: random.Random) -> None:
    """As after a failover to a server that had nothing yet."""
    async with fleet.fault("store empty and read-only", STORE, lossy=True, outage=True):
        await _command(fleet, "FLUSHALL")
        await store_read_only(fleet, chance)


async def store_full(fleet: Fleet, chance: random.Random) -> None:
    """Writes get OOM."""
    async with fleet.fault("store full (OOM)", STORE, outage=True):
        await _command(fleet, "CONFIG", "SET", "maxmemory-policy", "noeviction")
        await _command(fleet, "CONFIG", "SET", "maxmemory", 1)
        await _while_it_lasts(chance)
        await _command(fleet, "CONFIG", "SET", "maxmemory", 0)


async def store_evicts(fleet: Fleet, chance: random.Random) -> None:
    """It throws single keys away, whichever."""
    async with fleet.fault("store evicts", STORE, lossy=True, outage=True):
        await _command(fleet, "CONFIG", "SET", "maxmemory-policy", "allkeys-random")
        for _ in range(chance.randint(5, 20)):
            memory = cast("Mapping[str, int]", await _command(fleet, "INFO", "memory"))
            await _command(fleet, "CONFIG", "SET", "maxmemory", memory["used_memory"] - 1)
            await asyncio.sleep(0.1)
            await _command(fleet, "CONFIG", "SET", "maxmemory", 0)
            await asyncio.sleep(0.2)


async def issuer_killed(fleet: Fleet, chance: random.Random) -> None:
    """SIGKILL, and the same issuer again."""
    async with fleet.fault("issuer killed", ISSUER):
        await fleet.issuer.kill()
        await _while_it_lasts(chance)
        await fleet.issuer.start()


async def issuer_stopped(fleet: Fleet, chance: random.Random) -> None:
    """SIGSTOP, and SIGCONT: late answers arrive."""
    async with fleet.fault("issuer stopped", ISSUER):
        fleet.issuer.stop()
        await _while_it_lasts(chance)
        fleet.issuer.resume()


ANSWERS: Final[Mapping[str, IssuerFault]] = {
    "500": IssuerFault(status=500),
    "503": IssuerFault(status=503, retry_after="1"),
    "429": IssuerFault(status=429, retry_after="2"),
    "401": IssuerFault(status=401, body='{"error": "invalid_client"}'),
    "never": IssuerFault(hang=True),
    "slowly": IssuerFault(latency=2.0),
    "drop by drop": IssuerFault(drip=0.2),
    "a page": IssuerFault(body="<html>a login page</html>"),
    "too much": IssuerFault(padding=3_000_000),
    "NaN seconds": IssuerFault(expires_in="NaN"),
    "6 seconds": IssuerFault(expires_in="6"),
    "1 second": IssuerFault(expires_in="1"),
    "no lifetime": IssuerFault(expires_in=""),
}
"""How it answers instead."""


async def issuer_answers_wrongly(fleet: Fleet, chance: random.Random) -> None:
    """One of many ways."""
    name = chance.choice(list(ANSWERS))
    async with fleet.fault(f"issuer answers: {name}", ISSUER):
        await fleet.issuer.have(replace(ANSWERS[name], audience=ISSUER_FAILS_FOR))
        await _while_it_lasts(chance)
        await fleet.issuer.mend(ISSUER_FAILS_FOR)


TRACKS: Final[Mapping[str, tuple[Act, ...]]] = {
    "replicas": (replica_killed, replica_stopped),
    STORE: (
        store_killed, store_stopped, store_emptied, store_read_only, store_empty_and_read_only, store_full, store_evicts
    ),
    ISSUER: (issuer_killed, issuer_stopped, issuer_answers_wrongly, issuer_answers_wrongly, issuer_answers_wrongly),
}  # fmt: skip
"""At any moment at most one trouble of each track."""


async def until(fleet: Fleet, seed: int, track: str, ends: float) -> None:
    """Troubles of a track, until this time of the loop. The last one is brought to its end."""
    chance = random.Random(f"{seed} {track}")
    while True:
        pause = chance.uniform(*PAUSE)
        if asyncio.get_running_loop().time() + pause >= ends:
            return
        await asyncio.sleep(pause)
        await chance.choice(TRACKS[track])(fleet, chance)


async def _while_it_lasts(chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(*LASTS))


async def _command(fleet: Fleet, *words: str | int) -> object:
    """Tried again for a while: on a busy machine, one may miss its deadline."""
    for _ in range(5):
        try:
            return await fleet.server.command(*words)
        except (RedisError, OSError):
            await asyncio.sleep(0.2)
    return await fleet.server.command(*words)
