"""The owner of the connections to Redis or Valkey. Exceptions of redis-py end here."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection, Generator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import replace
from typing import Final, Self, TypeVar

from redis.exceptions import AuthenticationError, ClusterDownError, InvalidResponse, ReadOnlyError, ResponseError

from mintonce_server.common.causes import chain
from mintonce_server.common.redis_url import Target, parse_redis_url
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.observability.store_meter import SUBSCRIBE, StoreMeter
from mintonce_server.store.causes import UnknownService, error_kind, store_cause
from mintonce_server.store.hedging import HedgedOperation
from mintonce_server.store.names import USUAL, Names
from mintonce_server.store.topology.cluster import ClusterServers
from mintonce_server.store.topology.pool import Pool
from mintonce_server.store.topology.sentinel import SentinelServers
from mintonce_server.store.topology.servers import Commands, Pipeline, Servers, Shard, Subscription
from mintonce_server.store.topology.single import Single

RETRY_AFTER: Final = 1.0
"""Seconds until callers should retry while the store is unavailable."""

RENEW_INTERVAL: Final = 1.0
"""Minimum seconds between two replacements of all connections, so that an unreadable record costs little."""

SILENCE_SHARE: Final = 1 / 3
"""Of the deadline: after so much silence on an old connection, a new one is tried in parallel. It needs at most five
round trips (connect, TLS, AUTH, SELECT, the command) and has two thirds of the deadline for them."""

LINGER: Final = 6.0
"""Seconds for operations in progress when connections are exchanged: longer than the longest operation."""

MAX_FORMER: Final = 8
"""Maximum number of sets of former connections that are ending at a time. The next exchange waits for the first."""

DIAGNOSIS_INTERVAL: Final = 10.0
"""Minimum seconds between two diagnoses of a service that cannot reach its store."""

T = TypeVar("T")


class Link:
    """One store: commands to it, and subscriptions on connections of their own.

    Args:
        servers: of the store, whatever its kind.
        deadline: seconds for a whole operation, including its repetition.
        names: of our keys and channels in it.
        meter: counts operations.
    """

    def __init__(
        self, servers: Servers, *, deadline: float, names: Names = USUAL, meter: StoreMeter | None = None
    ) -> None:
        self._servers = servers
        self._client = _CurrentClient(lambda: self._servers)
        self.names = names
        self.deadline = deadline
        self.meter = meter or StoreMeter()
        self._garbled = False
        self._renewed_at = float("-inf")
        self._diagnosis: Exception | None = None
        self._diagnosing: asyncio.Task[None] | None = None
        self._diagnosed_at = float("-inf")
        self._former: dict[asyncio.Task[None], Servers] = {}

    @classmethod
    def from_url(cls, url: str, *, deadline: float, names: Names = USUAL, meter: StoreMeter | None = None) -> Self:
        """To one server, to the primary that Sentinels name, or to a Cluster. Connects when first used.

        Raises ValueError.
        """
        return cls(open_servers(parse_redis_url(url), deadline), deadline=deadline, names=names, meter=meter)

    @property
    def client(self) -> Commands:
        """Makes no retries and decodes nothing."""
        return self._client

    @property
    def name(self) -> str:
        """The store's name in error messages. Never contains a password."""
        return self._servers.name

    async def shards(self) -> Sequence[Shard]:
        """Each server that stores keys. Raises what redis-py raises."""
        return await self._servers.shards()

    @property
    def subscriptions(self) -> int:
        """How many subscriptions are needed so that the loss of one server loses no message."""
        return self._servers.subscriptions

    async def subscription(self, avoid: Callable[[], Collection[str]] = tuple) -> Subscription:
        """A connection for a subscription, to another server than these if there is one. Raises StoreUnavailable.

        Not hedged: in the tasks of `_hedged`, another subscriber could choose before this choice is recorded.
        """
        servers = self._servers
        found = await self._run(SUBSCRIBE, lambda: self._repeated(lambda: servers.subscription(avoid)), self.deadline)
        return replace(found, stale=lambda: servers is not self._servers or found.stale())

    async def exchange(self, servers: Servers) -> None:
        """Use these connections to the same store from now on, once they have proved to work.

        Operations in progress may finish on the former connections, which are closed in the background. Raises
        StoreUnavailable if the new ones do not work: then the former ones stay in use.
        """
        try:
            await self._verify(servers)
            while len(self._former) >= MAX_FORMER:
                await asyncio.wait(self._former, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await servers.close()
            raise
        former, self._servers = self._servers, servers
        ending = asyncio.create_task(_end(former), name="store-former")
        self._former[ending] = former
        ending.add_done_callback(self._former.pop)

    async def _verify(self, servers: Servers) -> None:
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

    async def run(
        self, operation: Callable[[], Awaitable[T]], *, name: str = "other", deadline: float | None = None
    ) -> T:
        """Run an idempotent operation within the link's deadline or the given one. `name`: for metrics.

        It is repeated once if the connection may be the cause of an error. Within the link's own deadline, silence on a
        connection that had been idle counts as such an error, too. Raises StoreUnavailable, whatever the operation
        raises: redis-py lets foreign exceptions through, such as ValueError for a garbled reply.
        """
        attempt = self._hedged if deadline is None else self._repeated
        answer = await self._run(name, lambda: attempt(operation), self.deadline if deadline is None else deadline)
        self._diagnosis = None
        return answer

    async def _run(self, name: str, operation: Callable[[], Awaitable[T]], deadline: float) -> T:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(deadline):
                await self._renew_if_garbled()
                answer = await operation()
        except StoreUnavailable as failure:
            self.meter.operation(name, loop.time() - began, error_kind(failure))
            raise
        except Exception as error:
            raise_if_cancelled()
            self.meter.operation(name, loop.time() - began, error_kind(error))
            await self.invalidate(error)
            raise self.unavailable(error) from error
        raise_if_cancelled()
        self.meter.operation(name, loop.time() - began, "")
        return answer

    async def _hedged(self, operation: Callable[[], Awaitable[T]]) -> T:
        hedged = HedgedOperation(operation, lambda error: not _is_worth_repeating(error))
        try:
            return await hedged.first_answer(SILENCE_SHARE * self.deadline, self._renew)
        except Exception as error:
            if hedged.hedged or not _is_worth_repeating(error):
                raise
            await self.invalidate(error)
            await self._renew(hedged.old_pools)
        return await operation()

    async def _repeated(self, operation: Callable[[], Awaitable[T]]) -> T:
        try:
            return await operation()
        except Exception as error:
            if not _is_worth_repeating(error):
                raise
            await self.invalidate(error)
        return await operation()

    async def invalidate(self, error: Exception) -> None:
        """After an error: have the next operation check first whether the servers have changed."""
        with suppress(Exception):  # the original error is already known
            await self._servers.invalidate(error)

    def unavailable(self, error: Exception) -> StoreUnavailable:
        """The error for callers. The server's own text is left out: it may quote what was sent."""
        suspects = self._servers.suspects()
        name = f"the store at {self.name}"
        if suspects:
            name = f"server {', '.join(suspects)} of {name}"
        cause = store_cause(self._diagnosis or error if _is_vague(error) else error, name, self.deadline)
        failure = StoreUnavailable(
            cause.what, remedy=cause.remedy, retry_after=RETRY_AFTER, partial=self._servers.sharded
        )
        failure.__cause__ = error
        return failure

    async def explained(self, failure: StoreUnavailable) -> StoreUnavailable:
        """The same failure after a diagnosis, if that is more informative."""
        error = failure.__cause__
        if isinstance(error, Exception) and _is_vague(error):
            await self._diagnose()
            return self.unavailable(error)
        return failure

    def diagnose_soon(self, failure: StoreUnavailable) -> None:
        """Find out in the background why connections fail, if the failure does not say. Later errors report it."""
        now = asyncio.get_running_loop().time()
        if self._diagnosing is None and now - self._diagnosed_at >= DIAGNOSIS_INTERVAL and _is_vague(failure):
            self._diagnosed_at = now
            self._diagnosing = asyncio.create_task(self._diagnose(), name="store-diagnosis")

    async def _diagnose(self) -> None:
        try:
            self._diagnosis = await self._servers.diagnose()
        except Exception:  # noqa: BLE001 - the original error is known; this only makes it more informative
            self._diagnosis = None
        finally:
            self._diagnosing = None

    @contextmanager
    def reading(self) -> Generator[None]:
        """For code that reads a reply: any exception becomes StoreUnavailable.

        A connection with an unexpected reply may deliver the next replies out of order, so no connection is kept.
        """
        try:
            yield
        except StoreUnavailable:
            raise
        except Exception as error:
            self._garbled = True
            raise StoreUnavailable(
                f"the store at {self.name} holds or answers something that this release does not understand",
                remedy=f"Check that only Mintonce writes keys that begin with '{self.names.prefix}:', and which other "
                "releases of it are running.",
                retry_after=RETRY_AFTER,
                partial=self._servers.sharded,
            ) from error

    async def _renew_if_garbled(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._garbled and now - self._renewed_at >= RENEW_INTERVAL:
            self._garbled, self._renewed_at = False, now
            await self._renew(None)

    async def _renew(self, only: Collection[Pool] | None) -> None:
        with suppress(Exception):
            await self._servers.renew(only)

    async def close(self) -> None:
        """Close all connections."""
        former = list(self._former.values())
        ending = [*self._former, *([self._diagnosing] if self._diagnosing else [])]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        await asyncio.gather(*(servers.close() for servers in (*former, self._servers)), return_exceptions=True)


async def _end(former: Servers) -> None:
    with suppress(Exception):  # no new command uses them; what is not closed now is closed below
        await former.retire()
    await asyncio.sleep(LINGER)
    with suppress(Exception):
        await former.close()


def _is_worth_repeating(error: Exception) -> bool:
    """Not if the right server gave a definite answer."""
    return not isinstance(error, ResponseError | StoreUnavailable) or isinstance(
        error, ReadOnlyError | ClusterDownError
    )


def raise_if_cancelled() -> None:
    """Raise a swallowed cancellation: a cancelled task that continues would keep the program from ending.

    redis-py sends with asyncio.wait_for, which before Python 3.12 loses a cancellation in the moment of its completion.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _is_vague(error: Exception) -> bool:
    """Whether it says only that the connection does not work."""
    return not any(
        isinstance(each, ResponseError | AuthenticationError | InvalidResponse | ssl.SSLError | UnknownService)
        for each in chain(error)
    )


def open_servers(target: Target, deadline: float) -> Servers:
    """The servers behind a URL. Connects when first used. Raises ValueError if a TLS file cannot be used.

    `deadline`: seconds for each answer of a server.
    """
    match target.kind:
        case "single":
            return Single(target, deadline)
        case "sentinel":
            return SentinelServers(target, deadline)
        case "cluster":
            return ClusterServers(target, deadline)


class _CurrentClient:
    """Implements Commands on the servers in use, which `Link.exchange` may replace."""

    def __init__(self, servers: Callable[[], Servers]) -> None:
        self._servers = servers

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: str | int | bytes) -> Awaitable[object]:
        return self._servers().client.evalsha(sha, numkeys, *keys_and_args)

    def eval(self, script: str, numkeys: int, *keys_and_args: str | int | bytes) -> Awaitable[object]:
        return self._servers().client.eval(script, numkeys, *keys_and_args)

    def ping(self) -> Awaitable[object]:
        return self._servers().client.ping()

    def pipeline(self, transaction: bool) -> AbstractAsyncContextManager[Pipeline]:
        return self._servers().client.pipeline(transaction)

    async def aclose(self) -> None:
        await self._servers().client.aclose()
