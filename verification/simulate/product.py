"""The one place where the simulator touches the product: how a replica is built, asked, and how the store is read.

Runs with the product of commit 3327505 as well, see README.md here.
"""

import asyncio
import importlib
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar, cast

from simulate.network import Link, LinkLostError, StoreRefusedError

from mintonce_server.common.clock import Clock
from mintonce_server.core.broker import Broker, Served
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.events import Event
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import Acquired, AcquireRequest, Hit, Issuer, Lease, Refusal, Wake, WakeKind
from mintonce_server.core.secret import Secret
from mintonce_server.core.token import Token
from mintonce_server.store.memory import MemoryStore
from mintonce_server.store.memory_server import MemoryServer
from mintonce_server.store.memory_values import Busy, Granted
from support.options import BROKER_OPTIONS

T = TypeVar("T")
Task = Coroutine[Any, Any, None]

OLD: Final = not hasattr(Broker, "endless")
"""Whether this is the product of commit 3327505."""


class _Hasher(KeyHasher):
    """Knows the few keys of a simulation by heart."""

    def __init__(self, index_key: bytes) -> None:
        super().__init__(index_key)
        self._names: dict[tuple[str, str, tuple[str, ...]], str] = {}

    def __call__(self, key: TokenKey) -> str:
        parts = (key.client, key.audience, key.scopes)
        if (name := self._names.get(parts)) is None:
            name = self._names[parts] = super().__call__(key)
        return name


HASHER: Final = _Hasher(b"an index key for simulations")
CLIENT: Final = "client"
GAP: Final = Wake(WakeKind.GAP, "", 0)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may set otherwise at each start."""

    version: int = 1
    min_rotation_interval: float = 30.0
    revalidate_within: float = 5.0
    mint_in_outage: bool = True
    keep_warm: bool = False
    lease_seconds: float = 3.0


class ReplicaStore(MemoryStore):
    """The shipped memory store, with the network between it and its server."""

    def __init__(
        self,
        clock: Clock,
        lease_seconds: float,
        server: MemoryServer,
        link: Link,
        failed: Callable[[], None],
        later: Callable[[float, Callable[[], None]], None],
        now: Callable[[], float],
        learned: Callable[[Token], None],
    ) -> None:
        super().__init__(HASHER, clock, lease_seconds, server)
        self._link = link
        self._failed = failed
        self._later = later
        self._now = now
        self._learned = learned
        self.leases: dict[TokenKey, tuple[int, float]] = {}
        self._queue: asyncio.Queue[Wake] | None = None
        self._gone = False

    async def acquire(self, key: TokenKey, request: AcquireRequest) -> Acquired:
        """A lease that was answered is remembered: it is what allows the next POST."""
        self.leases.pop(key, None)
        asked_at = self._now()
        answer = await super().acquire(key, request)
        if isinstance(answer, Hit):
            self._learned(answer.token)
        if isinstance(answer, Lease) and not getattr(request, "adopt", False):
            self.leases[key] = (answer.generation, asked_at)
        return answer

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | StoreUnavailable | None]:
        """What comes, the replica may hold from now on."""
        tokens = await super().load(keys)
        for token in tokens:
            if isinstance(token, Token):
                self._learned(token)
        return tokens

    async def _ask(self, send: "Callable[[], partial[T]]") -> T:
        try:
            return await self._link.run(send)
        except (LinkLostError, StoreRefusedError, TimeoutError) as error:
            self._failed()
            raise StoreUnavailable("the store is out of reach", remedy="Wait.", retry_after=1.0) from error
        except BaseException:
            self._failed()
            raise

    def _receive(self, queue: "asyncio.Queue[Wake]", wake: Wake) -> None:
        self._queue = queue
        if self._gone:
            return
        for delay in self._link.wake_delays(is_gap=wake == GAP):
            self._later(delay, partial(self._reach, queue, wake))

    def _reach(self, queue: "asyncio.Queue[Wake]", wake: Wake) -> None:
        super()._receive(queue, wake)

    def mute(self) -> None:
        """Its process is gone."""
        self._gone = True

    def tell(self, wake: Wake) -> None:
        """Something that the server did not publish: a GAP after a broken subscription, or a forgery."""
        if self._queue is not None:
            self._receive(self._queue, wake)


def broker_of(
    settings: Settings, store: ReplicaStore, issuer: Issuer, clock: Clock, sink: Callable[[Event], None]
) -> Broker:
    """A replica's core."""
    client = OAuthClient(CLIENT, issuer, credential_version=settings.version, keep_warm=settings.keep_warm)
    options = replace(
        BROKER_OPTIONS,
        min_rotation_interval=settings.min_rotation_interval,
        revalidate_within=settings.revalidate_within,
        mint_in_outage=settings.mint_in_outage,
    )
    return Broker(store, Clients([client]), clock, sink, options)


def background(broker: Broker, clock: Clock, report: Callable[[str, Exception], None]) -> list[Task]:
    """What a replica does without being asked, for as long as it lives."""
    endless = getattr(broker, "endless", None)
    if endless is None:
        return list(broker.tasks())
    supervise = importlib.import_module("mintonce_server.core.supervise")
    supervisor = supervise.Supervisor(clock, report, random.Random())
    return [supervisor.keep(name, start) for name, start in endless().items()]


async def get(broker: Broker, key: TokenKey, min_ttl: float, deadline: float) -> Served:
    """As api/service.py does it."""
    return broker.peek(key, min_ttl) or await broker.get(key, min_ttl, deadline)


def watch(broker: Broker, key: TokenKey, deadline: float) -> AsyncGenerator[Served, None]:
    return broker.watch(key, deadline)


async def reject(broker: Broker, key: TokenKey, rejected: int | bytes) -> bool:
    return await broker.reject(key, rejected)


async def rotate(broker: Broker, key: TokenKey, deadline: float) -> tuple[int, int]:
    return await broker.rotate(key, deadline)


async def list_tokens(broker: Broker, limit: int) -> list[Token]:
    if not OLD:
        return (await broker.list_tokens("", limit, lambda _: True)).tokens
    old: Any = broker.list_tokens
    return cast("list[Token]", await old("", limit))


@dataclass(frozen=True, slots=True)
class Kept:
    """What the server holds for a key, as the laws look at it. `left`: seconds by its clock."""

    text: str
    generation: int
    provisional: int
    version: int
    left: float


class Leased(NamedTuple):
    """Who may mint, and which generation."""

    nonce: str
    generation: int


class ServerView:
    """Reads the server behind the replicas' back."""

    def __init__(self, clock: Clock) -> None:
        self.server = MemoryServer(clock)

    def kept(self, name: str) -> Kept | None:
        """The live record."""
        entry = self.server.entries.get(name)
        if entry is None or entry.record is None or entry.record.exp <= self.server.now():
            return None
        provisional = getattr(entry.record, "provisional", 0)
        text, left = entry.record.payload.access_token.reveal(), (entry.record.exp - self.server.now()) / 1000
        return Kept(text, entry.record.f, provisional, entry.record.cv, left)

    def lease(self, name: str) -> "Leased | None":
        """The lease that has not lapsed."""
        entry = self.server.entries.get(name)
        if entry is None or entry.lease is None or entry.lease.ends <= self.server.now():
            return None
        return Leased(entry.lease.nonce, entry.lease.f)

    def barrier(self, name: str) -> int:
        """No token up to this generation may come into the store."""
        entry = self.server.entries.get(name)
        return entry.meta.bar if entry else 0

    def leases(self) -> list[tuple[str, str]]:
        """Names of keys with a lease that has not lapsed, and the leases' nonces."""
        now, held = self.server.now(), [(name, entry.lease) for name, entry in self.server.entries.items()]
        return [(name, lease.nonce) for name, lease in held if lease and lease.ends > now]

    def lose(self, name: str | None) -> None:
        """Everything, or all that is known of one key."""
        if name is None:
            self.server.entries.clear()
            self.server.issuers.clear()
        else:
            self.server.entries.pop(name, None)

    def evict(self, name: str) -> None:
        """The record alone, as a server that runs out of memory does it."""
        if entry := self.server.entries.get(name):
            entry.record = None


def refused_text(command: "partial[Any]", answer: object) -> str:
    """The token that a commit did not get into the store, or ""."""
    if command.func.__name__ != "commit" or not isinstance(answer, Refusal):
        return ""
    token: Secret = command.args[1].payload.access_token
    return token.reveal()


def moment(command: "partial[Any]", answer: object) -> str:
    """The name of what a replica has come to with this command, see faults.Moment; "" for nothing special."""
    match command.func.__name__, answer:
        case "acquire", Granted():
            return "GRANTED"
        case "commit", int():
            return "COMMITTED"
        case "reject", _:
            return "REJECTED"
        case _:
            return ""


def granted(answer: object) -> int:
    """The generation of a lease that was granted, or 0."""
    return answer.f if isinstance(answer, Granted) else 0


def is_wait(answer: object) -> bool:
    """Whether this says that another has the lease."""
    return isinstance(answer, Busy)


def generation_of(command: "partial[Any]") -> int:
    """The generation that a command is about, or 0."""
    if command.func.__name__ == "commit":
        generation: int = command.args[1].f
        return generation
    return int(command.keywords.get("generation", 0))


def rejects(command: "partial[Any]", kept: Kept) -> bool:
    """Whether this command names what was kept, so that it may drop it."""
    named = command.keywords.get("generation")
    return command.func.__name__ == "reject" and named in (kept.generation, kept.provisional)


def names_text(command: "partial[Any]", text: str) -> bool:
    """Whether this barrier is because of that very text: a caller rejected it where it had another number."""
    return command.keywords.get("fingerprint") == Secret(text).fingerprint()


def raises_barrier(command: "partial[Any]") -> int:
    """Up to which generation this command bars tokens because of a rejection that the store forgot, or 0."""
    return command.keywords["generation"] if command.func.__name__ == "barrier" else 0


def forged(kind: str, name: str, generation: int) -> Wake:
    """A message that no script has sent."""
    return Wake(WakeKind(kind), name, generation)


def key_for(number: int) -> TokenKey:
    """Keys of different lengths, see `ordered_hashes`."""
    return TokenKey.of(CLIENT, "https://api/" + "a" * number, ["read"] * (number % 2))


@contextmanager
def ordered_hashes() -> Generator[None]:
    """Keys hash the same in every process: sets of them have one order then, whatever PYTHONHASHSEED is."""
    real = TokenKey.__hash__
    TokenKey.__hash__ = _hash_of  # type: ignore[method-assign,assignment] # undone below
    try:
        yield
    finally:
        TokenKey.__hash__ = real  # type: ignore[method-assign]


def _hash_of(key: TokenKey) -> int:
    return 131 * len(key.audience) + len(key.scopes)
