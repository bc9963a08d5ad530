"""Counts what a service uses, and reads it for `mintonced budget`."""

import random
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import version

from mintonce_server.app.store import store_of
from mintonce_server.common.clock import Clock, SystemClock
from mintonce_server.config import Settings
from mintonce_server.core.budget import Month, Usage, needed
from mintonce_server.core.client import unknown_client
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.events import EventSink
from mintonce_server.core.token import Token
from mintonce_server.core.usage import ClientUsage, UsageCounter, usage_in
from mintonce_server.reload.access import AccessFiles
from mintonce_server.store.redis import RedisStore


@dataclass(frozen=True, slots=True)
class Spent:
    """A client's month.

    Attributes:
        needed: tokens that the keys need in this month which have a live token now.
    """

    used: ClientUsage
    needed: int


def usage_of(settings: Settings, store: RedisStore, clock: Clock, sink: EventSink) -> UsageCounter:
    """For a service on this store. `sink`: gets what is worth saying about budgets."""
    issuers = {name: client.issuer for name, client in settings.clients.items()}
    rng = random.Random()  # noqa: S311 - spreads writes
    return UsageCounter(store.usage, issuers, settings.budgets, clock, sink, rng, version=version("mintonce"))


async def spent(settings: Settings, client: str | None, month: Month | None) -> list[Spent]:
    """What clients used in a month, by the store. None: all clients, the current month. Raises MintonceError."""
    names = sorted(settings.clients) if client is None else [client]
    if client is not None and client not in settings.clients:
        raise unknown_client(client)
    clock = SystemClock()
    async with store_of(settings, clock, AccessFiles(settings, clock).keyring) as store:
        now = await store.usage.time()
        of = month or Month.at(now)
        found = _each(await store.usage.usage([(name, of) for name in names]))
        before = _each(await store.usage.usage([(name, of.previous) for name in names]))
        lifetimes = await _lifetimes(store)
    return [
        Spent(
            usage_in(name, of, this, past, settings.budgets.get(name), now),
            needed(lifetimes[name], of.ends - of.starts),
        )
        for name, this, past in zip(names, found, before, strict=True)
    ]


def _each(answers: list[Usage | StoreUnavailable]) -> list[Usage]:
    """Raises the first error."""
    for answer in answers:
        if isinstance(answer, StoreUnavailable):
            raise answer
    return [answer for answer in answers if isinstance(answer, Usage)]


async def _lifetimes(store: RedisStore) -> defaultdict[str, list[float]]:
    """Of all live tokens, by client."""
    found: dict[str, Token] = {}

    def note(token: Token) -> bool:
        found[token.key_hash] = token  # a scan may return one twice
        return False

    await store.list("", 1, note)
    lifetimes: defaultdict[str, list[float]] = defaultdict(list)
    for token in found.values():
        lifetimes[token.key.client].append(token.lifetime)
    return lifetimes
