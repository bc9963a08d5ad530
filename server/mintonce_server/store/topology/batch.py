"""Commands sent together to a Cluster: each server gets its own in one round trip, all at the same time."""

from asyncio import CancelledError, timeout_at
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Self

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError

from mintonce_server.store.topology.address import Address
from mintonce_server.store.topology.routing import Router, Words, all_of

ROUNDS: Final = 2
"""How often what was sent to the wrong server is sent together again; after that, one by one."""


class Batch:
    """Implements Pipeline: commands of one key each."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._commands: list[tuple[str, Words]] = []
        self._answers: list[object] = []

    def hget(self, name: str, key: str) -> Self:
        return self._add(name, "HGET", name, key)

    def pttl(self, name: str) -> Self:
        return self._add(name, "PTTL", name)

    def hmget(self, name: str, keys: Sequence[str]) -> Self:
        return self._add(name, "HMGET", name, *keys)

    def time(self) -> Self:
        return self._add(self._commands[-1][0], "TIME")

    async def execute(self, raise_on_error: bool = True) -> list[object]:
        """The answers, in the order of the commands. Raises RedisError, or has it in the answer's place.

        All waits end together. A server that has not answered by then takes no other server's answers away.
        """
        late = TimeoutError("no answer within a batch's time")
        self._answers = [late] * len(self._commands)
        end = await self._router.batch_end()
        with suppress(TimeoutError):
            async with timeout_at(end) as limit:
                try:
                    await self._round(range(len(self._commands)), ROUNDS)
                except CancelledError:
                    if not limit.expired():
                        raise
                    # Perhaps cancelled twice: the operation's deadline comes in the same moment where the process had
                    # no turn for long. What was answered is the answer; `heed_cancellation` sees to a caller's own.
        for answer in self._answers:
            if raise_on_error and isinstance(answer, Exception):
                raise answer
        return self._answers

    def _add(self, name: str, *words: str | int | bytes) -> Self:
        self._commands.append((name, words))
        return self

    async def _round(self, indexes: Sequence[int], rounds: int) -> None:
        """Send these, all servers' parts at the same time. No part waits for another."""
        parts = self._by_server(indexes)
        await all_of([self._part(address, part, rounds) for address, part in parts.items()])

    def _by_server(self, indexes: Sequence[int]) -> Mapping[Address | None, Sequence[int]]:
        parts: defaultdict[Address | None, list[int]] = defaultdict(list)
        for index in indexes:
            parts[self._router.last_known(key_slot(self._commands[index][0].encode()))].append(index)
        return parts

    async def _part(self, address: Address | None, indexes: Sequence[int], rounds: int) -> None:
        """What one server had by the last view. If it failed, another one may have it after a look."""
        failed = await self._router.looked_for(address)
        parts = self._by_server(indexes) if failed else {address: indexes}
        await all_of([self._sent(to, part, rounds) for to, part in parts.items()])

    async def _sent(self, address: Address | None, indexes: Sequence[int], rounds: int) -> None:
        """One server's share. Its trouble is the answer to these commands, and to no others."""
        if address is None:
            replies: Sequence[object] = [ClusterDownError("no server has the slot")] * len(indexes)
        else:
            replies = await self._replies_or_trouble(address, indexes)
        elsewhere: list[int] = []
        for index, answer in zip(indexes, replies, strict=True):
            self._answers[index] = answer
            if isinstance(answer, MovedError) and address is not None:
                self._router.learn(answer, address)
            if isinstance(answer, AskError | TryAgainError):
                elsewhere.append(index)
        if elsewhere and rounds > 1:
            await self._round(elsewhere, rounds - 1)
        elif elsewhere:
            await self._one_by_one(elsewhere)

    async def _one_by_one(self, indexes: Sequence[int]) -> None:
        for index in indexes:
            try:
                self._answers[index] = await self._router.send(*self._commands[index])
            except Exception as error:  # noqa: BLE001 - the answer to this command
                self._answers[index] = error

    async def _replies_or_trouble(self, address: Address, indexes: Sequence[int]) -> Sequence[object]:
        try:
            with self._router.suspecting(address):
                return await self._replies(address, indexes)
        except Exception as error:  # noqa: BLE001 - the answer to these commands
            return [error] * len(indexes)

    async def _replies(self, address: Address, indexes: Sequence[int]) -> list[object]:
        async with self._router.pools.at(address).pipeline(transaction=False) as pipeline:
            for index in indexes:
                pipeline.execute_command(*self._commands[index][1])
            # Not raised by the pipeline: answers that send us elsewhere are no errors.
            return await pipeline.execute(raise_on_error=False)
