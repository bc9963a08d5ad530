"""The one owner of connections to Redis or Valkey. Its exceptions end here."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final, Self, TypeVar

from redis.exceptions import AuthenticationError, ClusterDownError, InvalidResponse, ReadOnlyError, ResponseError

from mintonce_server.common.causes import chain
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.store.causes import UnknownService, store_cause
from mintonce_server.store.commands import Commands, Scannable
from mintonce_server.store.current import CurrentClient
from mintonce_server.store.names import USUAL, Names
from mintonce_server.store.second_try import Tries
from mintonce_server.store.topology import Ear, Part, Pool, Servers, open_servers

RETRY_AFTER: Final = 1.0
"""Seconds. A store that is out of reach is worth asking again soon."""

RENEW_EVERY: Final = 1.0
"""Minimum seconds between two times that all connections are replaced: a record that is not ours costs no more."""

SILENCE_SHARE: Final = 1 / 3
"""Of the deadline: after so much silence on an old connection, a new one is tried beside it. It needs five round trips
at most (connect, TLS, AUTH, SELECT, the command) and has two thirds of the deadline for them."""

LINGER: Final = 6.0
"""Seconds that what is under way has, when connections are exchanged: longer than the longest operation."""

MOST_FORMER: Final = 8
"""Sets of former connections that may be ending at a time: one more waits for the first of them."""

LOOK_EVERY: Final = 10.0
"""Minimum seconds between two closer looks of a service that cannot reach its store."""

T = TypeVar("T")


class Link:
    """One store, and a way to open connections to it beside those for commands.

    Args:
        servers: of the store, whatever its kind.
        deadline: seconds for a whole operation, its repetition included.
        names: of what is ours in it.
    """

    def __init__(self, servers: Servers, *, deadline: float, names: Names = USUAL) -> None:
        self._servers = servers
        self._client = CurrentClient(lambda: self._servers)
        self.names = names
        self.deadline = deadline
        self._puzzled = False
        self._renewed_at = float("-inf")
        self._seen: Exception | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        self._former: dict[asyncio.Task[None], Servers] = {}

    @classmethod
    def from_url(cls, url: str, *, deadline: float, names: Names = USUAL) -> Self:
        """To one server, to what Sentinels watch, or to a Cluster. Connects when first used. Raises ValueError."""
        return cls(open_servers(url, deadline=deadline), deadline=deadline, names=names)

    @property
    def client(self) -> Commands:
        """Makes no retries of its own and decodes nothing."""
        return self._client

    @property
    def name(self) -> str:
        """What errors call the store. Never holds a password."""
        return self._servers.name

    async def shards(self) -> Sequence[Scannable]:
        """A client for each server that has keys. Raises what redis-py raises."""
        return await self._servers.shards()

    async def parts(self) -> Sequence[Part]:
        """Each server that has keys, by itself. Raises StoreUnavailable."""
        return await self.run(self._servers.parts)

    @property
    def ears(self) -> int:
        """How many subscriptions are needed to lose no message with one server."""
        return self._servers.ears

    async def ear(self, avoid: Callable[[], Collection[str]] = tuple) -> Ear:
        """A connection to subscribe with, to another server than these if there is one. Raises StoreUnavailable.

        Not by `_tried`, whose tasks would let another ear choose between this one's choice and its caller's note of it.
        """
        servers = self._servers
        ear = await self._run(lambda: self._repeated(lambda: servers.ear(avoid)), self.deadline)
        return replace(ear, stale=lambda: servers is not self._servers or ear.stale())

    async def exchange(self, servers: Servers) -> None:
        """Use these connections to the same store from now on, once they are seen to work.

        What is under way on those of before may finish, and they are closed beside: the next exchange need not wait for
        that. Raises StoreUnavailable if the new ones do not work: then those of before go on.
        """
        try:
            await self._try_out(servers)
            while len(self._former) >= MOST_FORMER:
                await asyncio.wait(self._former, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await servers.close()
            raise
        former, self._servers = self._servers, servers
        ending = asyncio.create_task(_end(former), name="store-former")
        self._former[ending] = former
        ending.add_done_callback(self._former.pop)

    async def _try_out(self, servers: Servers) -> None:
        link = Link(servers, deadline=self.deadline, names=self.names)
        try:
            answer = await link.run(servers.client.ping)
            with link.reading():
                if answer is not True:
                    raise ValueError("no answer to a PING")
        except StoreUnavailable as error:
            failure = await link.explained(error)
        else:
            return
        raise failure

    async def run(self, operation: Callable[[], Awaitable[T]], *, deadline: float | None = None) -> T:
        """Do it within the link's deadline or the given one, and once more where the fault may lie in the connection.

        Within the link's own deadline, a silent connection that had been idle is a fault, too.

        It must be idempotent. Raises StoreUnavailable, whatever the operation raised: exceptions that are not the
        library's own come out of it, such as ValueError for a garbled reply.
        """
        attempt = self._tried if deadline is None else self._repeated
        answer = await self._run(lambda: attempt(operation), self.deadline if deadline is None else deadline)
        self._seen = None
        return answer

    async def _run(self, operation: Callable[[], Awaitable[T]], deadline: float) -> T:
        try:
            async with asyncio.timeout(deadline):
                await self._renew_if_puzzled()
                answer = await operation()
        except StoreUnavailable:
            raise
        except Exception as error:
            heed_cancellation()
            await self.doubt(error)
            raise self.unavailable(error) from error
        heed_cancellation()
        return answer

    async def _tried(self, operation: Callable[[], Awaitable[T]]) -> T:
        tries = Tries(operation, lambda error: not _may_help_to_repeat(error))
        try:
            return await tries.first_answer(SILENCE_SHARE * self.deadline, self._renew)
        except Exception as error:
            if tries.both or not _may_help_to_repeat(error):
                raise
            await self.doubt(error)
            await self._renew(tries.old_pools)
        return await operation()

    async def _repeated(self, operation: Callable[[], Awaitable[T]]) -> T:
        try:
            return await operation()
        except Exception as error:
            if not _may_help_to_repeat(error):
                raise
            await self.doubt(error)
        return await operation()

    async def doubt(self, error: Exception) -> None:
        """Something went wrong: the next operation first sees whether the servers have changed."""
        with suppress(Exception):  # what failed is known already
            await self._servers.doubt(error)

    def unavailable(self, error: Exception) -> StoreUnavailable:
        """What the broker is told. The server's own text is left out: it may quote what was sent."""
        suspects = self._servers.suspects()
        name = f"the store at {self.name}"
        if suspects:
            name = f"server {', '.join(suspects)} of {name}"
        cause = store_cause(self._seen or error if _is_mute(error) else error, name, self.deadline)
        told = StoreUnavailable(cause.what, remedy=cause.remedy, retry_after=RETRY_AFTER, partial=self._servers.sharded)
        told.__cause__ = error
        return told

    async def explained(self, failure: StoreUnavailable) -> StoreUnavailable:
        """The same failure after a closer look, if that shows more."""
        error = failure.__cause__
        if isinstance(error, Exception) and _is_mute(error):
            await self._look_closer()
            return self.unavailable(error)
        return failure

    def look_soon(self, failure: StoreUnavailable) -> None:
        """See beside the calls why connections fail, if the failure does not say. What is seen is told from then on."""
        now = asyncio.get_running_loop().time()
        if self._looking is None and now - self._looked_at >= LOOK_EVERY and _is_mute(failure):
            self._looked_at = now
            self._looking = asyncio.create_task(self._look_closer(), name="store-look")

    async def _look_closer(self) -> None:
        try:
            self._seen = await self._servers.look_closer()
        except Exception:  # noqa: BLE001 - what failed is known already; this only finds better words for it
            self._seen = None
        finally:
            self._looking = None

    @contextmanager
    def reading(self) -> Generator[None]:
        """For the reading of a reply: whatever is raised inside becomes StoreUnavailable.

        A connection that brought what nobody asked for may bring the next answers out of order, so none is kept.
        """
        try:
            yield
        except StoreUnavailable:
            raise
        except Exception as error:
            self._puzzled = True
            raise StoreUnavailable(
                f"the store at {self.name} holds or answers what this release does not understand",
                remedy=f"See that only Mintonce writes keys that begin with '{self.names.prefix}:', and what other "
                "releases of it run.",
                retry_after=RETRY_AFTER,
                partial=self._servers.sharded,
            ) from error

    async def _renew_if_puzzled(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._puzzled and now - self._renewed_at >= RENEW_EVERY:
            self._puzzled, self._renewed_at = False, now
            await self._renew(None)

    async def _renew(self, only: Collection[Pool] | None) -> None:
        with suppress(Exception):
            await self._servers.renew(only)

    async def close(self) -> None:
        """Give all connections back."""
        former = list(self._former.values())
        ending = [*self._former, *([self._looking] if self._looking else [])]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        await asyncio.gather(*(servers.close() for servers in (*former, self._servers)), return_exceptions=True)


async def _end(former: Servers) -> None:
    with suppress(Exception):  # nothing new uses them; what does not close by itself now is closed below
        await former.retire()
    await asyncio.sleep(LINGER)
    with suppress(Exception):
        await former.close()


def _may_help_to_repeat(error: Exception) -> bool:
    """Not where the right server gave a clear answer."""
    return not isinstance(error, ResponseError | StoreUnavailable) or isinstance(
        error, ReadOnlyError | ClusterDownError
    )


def heed_cancellation() -> None:
    """Raise what was swallowed: a task that goes on though it was cancelled would keep the program from ending.

    redis-py sends with asyncio.wait_for, which before Python 3.12 loses a cancellation that comes just as it is done.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _is_mute(error: Exception) -> bool:
    """Whether it says no more than that the connection does not work."""
    return not any(
        isinstance(each, ResponseError | AuthenticationError | InvalidResponse | ssl.SSLError | UnknownService)
        for each in chain(error)
    )
