"""A replica that asks who calls, on a store in memory, and callers with API keys."""

import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mintonce import AsyncTokenClient, MintonceError
from mintonce.credentials import ApiKeyFile
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.api.options import ServerOptions
from mintonce_server.auth.api_keys import ApiKeys, new_api_key, parse_api_keys
from mintonce_server.auth.identify import Identifier
from mintonce_server.calls.authorize import Guards
from mintonce_server.common.clock import Clock, SystemClock
from mintonce_server.core.broker import BrokerOptions
from mintonce_server.core.errors import AuditUnavailable
from mintonce_server.core.key import KeyHasher
from mintonce_server.core.limits import QuotaOptions, Quotas
from mintonce_server.core.policy import Act, Policy, Rule
from mintonce_server.core.ports import TokenStore
from mintonce_server.observability.audit import CallRecord
from support.house import AUDIENCE, CLIENT, HASHER, House, house
from support.options import LEASE_SECONDS

if TYPE_CHECKING:
    from mintonce_server.observability.traces import Traces

ALL = frozenset(Act)


def api_key_line(name: str, key: str) -> str:
    return f'"{name}" = "sha256:{hashlib.sha256(key.encode()).hexdigest()}"'


def rule(name: str, caller: str, *, audiences: tuple[str, ...] = (AUDIENCE,), may: frozenset[Act] = ALL) -> Rule:
    return Rule(name, (caller,), (CLIENT,), audiences, ("", "orders:*"), may)


@dataclass
class Gatehouse:
    """A replica that asks who calls, and callers with keys."""

    replica: House
    directory: Path
    keys: dict[str, str]
    audit: list[CallRecord]
    policy: Policy = field(default_factory=lambda: Policy([]))
    audit_is_full: bool = False
    known: ApiKeys = field(default_factory=lambda: ApiKeys({}))
    version: int = 0
    """Of `known`."""
    quotas: Quotas | None = None

    def know(self, *names: str) -> None:
        """From now on only these callers' keys are known."""
        lines = "\n".join(api_key_line(name, self.keys[name]) for name in names)
        self.known, self.version = parse_api_keys(f"[keys]\n{lines}\n".encode()), self.version + 1
        self.replica.broker.recheck()

    def caller(self, name: str) -> AsyncTokenClient:
        """A client with a key of this name, or, for "anonymous", without any."""
        if name == "anonymous":
            return AsyncTokenClient(self.replica.target, timeout=5.0)
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(self.keys[name])
        return AsyncTokenClient(self.replica.target, bearer=ApiKeyFile(path), timeout=5.0)


@asynccontextmanager
async def gatehouse(
    directory: Path,
    issuer: PracticeIssuer,
    quotas: QuotaOptions | None = None,
    store: TokenStore | Callable[[KeyHasher, Clock, float], TokenStore] | None = None,
    server_options: ServerOptions | None = None,
    broker_options: BrokerOptions | None = None,
    traces: "Traces | None" = None,
) -> AsyncGenerator[Gatehouse]:
    """Knows billing, cart and operator. `store`: one that is shared, or that is made for it; default: in memory."""
    made = {name: new_api_key(name)[0].reveal() for name in ("billing", "cart", "operator")}
    clock, audit = SystemClock(), list[CallRecord]()

    def write(record: CallRecord) -> None:
        if gate.audit_is_full:
            raise AuditUnavailable("the disk is full", remedy="Make room.", retry_after=1.0)
        audit.append(record)

    identify = Identifier(frozenset(), [], lambda: gate.known, clock).identify
    limits = Quotas(quotas, clock) if quotas else None
    guards = Guards(identify, lambda: gate.policy, limits, write, lambda: gate.version)
    made_for_it = store(HASHER, clock, LEASE_SECONDS) if callable(store) else store
    async with house(
        issuer.token_url,
        store=made_for_it,
        guards=guards,
        audiences=frozenset({AUDIENCE}),
        server_options=server_options,
        options=broker_options,
        traces=traces,
    ) as replica:
        gate = Gatehouse(replica, directory, made, audit, quotas=limits)
        gate.know(*made)
        yield gate


async def reason_of(
    client: AsyncTokenClient, name: str = CLIENT, audience: str = AUDIENCE, scopes: tuple[str, ...] = ()
) -> tuple[str, str]:
    """Why a get fails: reason and text."""
    async with client:
        with pytest.raises(MintonceError) as caught:
            await client.get(name, audience, scopes)
    return str(caught.value.reason), str(caught.value)
