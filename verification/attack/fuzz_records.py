"""Garbage under the names of real keys in a real store, then calls: no crash, no bad token, no storm."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from attack.damage import BLOWS, ONE_BAD_NUMBER, Blow, Damager
from attack.exploring import explore
from attack.figures import Figures
from attack.wire import OUR_CODES, Wire, broken_law, wired
from redis import Redis

from mintonce.v1 import tokens_pb2, types_pb2
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.common.clock import SystemClock
from mintonce_server.core.key import TokenKey
from support.house import CLIENT, HASHER, House, house
from support.options import BROKER_OPTIONS, redis_store
from support.surroundings import posts

GET: Final = "/mintonce.v1.TokenService/GetToken"
REJECT: Final = "/mintonce.v1.TokenService/RejectToken"
MOST_POSTS: Final = 3
"""For one key: the honest one, one over what cannot be read, and one more for a reader that the store had confused."""


class Victim:
    """Two replicas in this process: one mints into the store, the other has never seen the key and reads it."""

    def __init__(self, minting: House, reading: Wire, damager: Damager, log: Path, figures: Figures) -> None:
        self._minter = minting
        self._reading = reading
        self._damager = damager
        self._log = log
        self._figures = figures
        self._loop = asyncio.get_running_loop()
        self._number = 0

    def suffer(self, blows: list[Blow]) -> None:
        """A new key: minted, struck, and asked for three times."""
        self._number += 1
        audience = f"https://struck-{self._number}.example.com/"
        key = TokenKey.of(CLIENT, audience)
        minted = asyncio.run_coroutine_threadsafe(self._minter.broker.get(key, 0.0, 5.0), self._loop)
        generation = minted.result(10.0).token.generation
        before = len(posts(self._log))
        for blow in blows:
            self._damager.strike(HASHER(key), blow)
        asked = tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=audience)).SerializeToString()
        rejected = tokens_pb2.RejectTokenRequest(
            key=types_pb2.TokenKey(client=CLIENT, audience=audience), generation=generation
        )
        for method, message in ((GET, asked), (GET, asked), (REJECT, rejected.SerializeToString()), (GET, asked)):
            said = self._reading.call(method, message)
            self._figures.saw(said.code, broken_law(method, message, said, allowed=OUR_CODES))
        if len(posts(self._log)) - before + 1 > MOST_POSTS:
            self._figures.broken[f"a storm: {len(posts(self._log)) - before} POSTs after {blows}"] += 1


async def fuzz_records(
    directory: Path,
    issuer: PracticeIssuer,
    redis_url: str,
    examples: int,
    seed: int,
    always: Sequence[list[Blow]] = ONE_BAD_NUMBER,
) -> Figures:
    """`always` once, then so many examples. `issuer` logs its POSTs to posts.jsonl in the directory."""
    figures, clock, log = Figures("records, leases and metas in Redis"), SystemClock(), directory / "posts.jsonl"
    stores = [redis_store(redis_url, hasher=HASHER, clock=clock, lease_seconds=1.0, deadline=5.0) for _ in range(2)]
    options = replace(BROKER_OPTIONS, mint_deadline=3.0)
    redis = Redis.from_url(redis_url)
    try:
        async with (
            house(issuer.token_url, store=stores[0], clock=clock, options=options) as minting,
            house(issuer.token_url, store=stores[1], clock=clock, options=options) as reading,
        ):
            other = TokenKey.of(CLIENT, "https://other.example.com/")
            stolen = await minting.broker.get(other, 0.0, 5.0)
            damager = Damager(redis, HASHER(other), _in_clear(stolen.token.access_token.reveal()))
            with wired(reading.target, timeout=4.0) as wire:
                victim = Victim(minting, wire, damager, log, figures)
                for blows in always:
                    await asyncio.to_thread(victim.suffer, blows)
                await explore(figures, BLOWS, victim.suffer, examples, seed)
    finally:
        redis.close()
        for store in stores:
            await store.close()
    return figures


def _in_clear(token: str) -> bytes:
    """A record as the first format had it, in JSON."""
    names: dict[str, object] = {"v": 1, "client": CLIENT, "audience": "https://struck-1.example.com/", "scopes": []}
    return json.dumps({**names, "token": token, "type": "Bearer", "granted": []}).encode()
