"""The one owner of connections to Redis or Valkey. Its exceptions end here."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self, TypeVar, cast
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ConnectionError, RedisError, ResponseError

from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.store.commands import Commands

SCHEMES: Final = ("redis", "rediss", "unix")
MAX_CONNECTIONS: Final = 32
RETRY_AFTER: Final = 1.0
"""Seconds. A store that is out of reach is worth asking again soon."""

T = TypeVar("T")


class Link:
    """A pool of connections to one store, and a way to open one more beside it.

    Args:
        client: makes no retries of its own and decodes nothing.
        name: what errors call the store. Never holds a password.
        subscriber: builds a connection outside the pool, not yet connected.
        deadline: seconds for a whole operation, its repetition included.
    """

    def __init__(
        self, client: Commands, *, name: str, subscriber: Callable[[], AbstractConnection], deadline: float
    ) -> None:
        self.client = client
        self.name = name
        self.subscriber = subscriber
        self.deadline = deadline

    @classmethod
    def from_url(cls, url: str, *, deadline: float) -> Self:
        """To a single server: redis://, rediss:// or unix://. Connects when first used. Raises ValueError."""
        options = _options(url)
        name = str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")
        options |= {
            # RESP2 gives the same plain lists from every server and needs no handshake.
            "protocol": 2,
            "decode_responses": False,
            # redis-py's own defaults go on for 40 s and more against a stopped server.
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": deadline,
            "socket_timeout": deadline,
        }
        pool = BlockingConnectionPool(max_connections=MAX_CONNECTIONS, timeout=deadline, **options)
        client = cast(Commands, Redis.from_pool(pool))
        return cls(client, name=name, subscriber=pool.make_connection, deadline=deadline)

    async def run(self, operation: Callable[[], Awaitable[T]], *, deadline: float | None = None) -> T:
        """Do it within the link's deadline or the given one, and once more if the connection broke.

        It must be idempotent. Raises StoreUnavailable.
        """
        try:
            async with asyncio.timeout(self.deadline if deadline is None else deadline):
                try:
                    answer = await operation()
                except ConnectionError:
                    answer = await operation()
        except (RedisError, OSError, TimeoutError) as error:
            heed_cancellation()
            raise self.unavailable(error) from error
        heed_cancellation()
        return answer

    def unavailable(self, error: Exception) -> StoreUnavailable:
        """What the broker is told. The server's own text is left out: it may quote what was sent."""
        cause = _cause(error)
        if isinstance(cause, AuthenticationError):
            message = f"the store at {self.name} refused our user name or password"
            remedy = "Put the right user name and password into the Redis URL."
        elif isinstance(cause, ResponseError):
            message = f"the store at {self.name} answered with {_code(cause)}"
            remedy = "See what this means for the server: out of memory, read-only, failing disk, no rights."
        elif isinstance(cause, TimeoutError | exceptions.TimeoutError):
            message = f"the store at {self.name} did not answer within {self.deadline:g} s"
            remedy = "See whether Redis is overloaded, stopped or behind a slow network."
        else:
            message = f"the store at {self.name} is out of reach ({type(cause).__name__})"
            remedy = "See whether Redis runs there and the network lets this host reach it."
        return StoreUnavailable(message, remedy=remedy, retry_after=RETRY_AFTER)

    async def close(self) -> None:
        """Give all pooled connections back."""
        await self.client.aclose()


def heed_cancellation() -> None:
    """Raise what was swallowed: a task that goes on though it was cancelled would keep the program from ending.

    redis-py sends with asyncio.wait_for, which before Python 3.12 loses a cancellation that comes just as it is done.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _cause(error: BaseException) -> BaseException:
    # On a Unix socket, redis-py wraps a refused password into a ConnectionError.
    below = error.__cause__
    return below if isinstance(error, ConnectionError) and isinstance(below, RedisError) else error


def _code(error: ResponseError) -> str:
    # redis-py takes the code off the text where it has a class for it.
    first = str(error).partition(" ")[0]
    return first if first.isupper() else type(error).__name__


def _options(url: str) -> dict[str, Any]:
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        # What stands there is not shown: without "://" it is the whole text, perhaps with a password.
        raise ValueError("the Redis URL's scheme is not known: use redis://, rediss:// or unix://")
    try:
        if scheme == "unix" and not urlsplit(url).path:
            raise ValueError("a unix:// URL names the path of a socket")
        return dict(parse_url(url))
    except ValueError:
        # Not chained: the parser quotes what it could not read, and that may be a piece of a password.
        raise ValueError(
            "the Redis URL is malformed: write it as redis://[[user]:password@]host[:port][/db], with the special "
            "characters of the password percent-encoded, or as unix://[[user]:password@]/path?db=0"
        ) from None
