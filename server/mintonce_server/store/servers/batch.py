"""Commands sent together to a Cluster: each server gets its own in one round trip, all at the same time."""

from asyncio import timeout
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Self

from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, TryAgainError

from mintonce_server.store.servers.address import Address
from mintonce_server.store.servers.routing import Router, Words, all_of

ROUNDS: Final = 2
"""How often what was sent to the wrong server is sent together again; after that, one by one."""


class Batch:
    """Implements Pipeline: commands of one key each."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._commands: list[tuple[str, Words]] = []

    def hget(self, name: str, key: str) -> Self:
        return self._add(name, "HGET", name, key)

    def pttl(self, name: str) -> Self:
        return self._add(name, "PTTL", name)

    def hmget(self, name: str, keys: Sequence[str]) -> Self:
        return self._add(name, "HMGET", name, *keys)

    def time(self) -> Self:
        return self._add(self._commands[-1][0], "TIME")

    async def execute(self, raise_on_error: bool = True) -> list[object]:
        """The answers, in the order of the commands. Raises RedisError, or has it in the answer's place."""
        answers: list[object] = [None] * len(self._commands)
        left = list(range(len(self._commands)))
        for _ in range(ROUNDS):
            await self._round(left, answers)
            left = [index for index in left if isinstance(answers[index], AskError | TryAgainError)]
            if not left:
                break
        for index in left:
            try:
                answers[index] = await self._router.send(*self._commands[index])
            except Exception as error:  # noqa: BLE001 - the answer to this command
                answers[index] = error
        for answer in answers:
            if raise_on_error and isinstance(answer, Exception):
                raise answer
        return answers

    def _add(self, name: str, *words: str | int | bytes) -> Self:
        self._commands.append((name, words))
        return self

    async def _round(self, indexes: Sequence[int], answers: list[object]) -> None:
        by_server: defaultdict[Address, list[int]] = defaultdict(list)
        for index in indexes:
            try:
                by_server[await self._router.address_of(key_slot(self._commands[index][0].encode()))].append(index)
            except Exception as error:  # noqa: BLE001 - the answer to this command
                answers[index] = error
        await all_of([self._part(address, part, answers) for address, part in by_server.items()])

    async def _part(self, address: Address, indexes: Sequence[int], answers: list[object]) -> None:
        """One server's share. Its trouble is the answer to these commands, and to no others."""
        replies: Sequence[object]
        try:
            with self._router.suspecting(address):
                async with timeout(self._router.patience):
                    replies = await self._replies(address, indexes)
        except Exception as error:  # noqa: BLE001 - the answer to this command
            replies = [error] * len(indexes)
        for index, answer in zip(indexes, replies, strict=True):
            answers[index] = answer
            if isinstance(answer, MovedError):
                self._router.learn(answer, address)

    async def _replies(self, address: Address, indexes: Sequence[int]) -> list[object]:
        async with self._router.pools.at(address).pipeline(transaction=False) as pipeline:
            for index in indexes:
                pipeline.execute_command(*self._commands[index][1])
            # Not raised by the pipeline: answers that send us elsewhere are no errors.
            return await pipeline.execute(raise_on_error=False)
