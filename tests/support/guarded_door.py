"""A token endpoint that asks who calls: callers with API keys, JWTs and certificates, an issuer and a clock to turn."""

import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from mintonce_server.auth.api_keys import new_api_key, parse_api_keys
from mintonce_server.auth.identify import Identifier
from mintonce_server.auth.jwks import parse_jwks
from mintonce_server.auth.jwt import JwtIssuer
from mintonce_server.calls.authorize import Guards
from mintonce_server.core.errors import AuditUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.limits import QuotaOptions, Quotas
from mintonce_server.core.policy import Act, Policy, Rule
from mintonce_server.observability.audit import CallRecord
from mintonce_server.web.listener import ListenerLimits
from mintonce_server.web.token_endpoint.endpoint import EndpointOptions
from support.certificates import Authority
from support.clocks import ManualClock
from support.door import LIMITS, OPTIONS, Door, door
from support.gatehouse import api_key_line
from support.house import AUDIENCE, CLIENT, calls_of
from support.jwts import AUDIENCE as OF_JWTS
from support.jwts import ISSUER, SUBJECT, Signer, claims
from support.workbench import Workbench

SPIFFE_ID: Final = "spiffe://prod.example.com/ns/pay/sa/billing"
ALLOWED: Final = ("key:billing", f"jwt:k8s:{SUBJECT}", SPIFFE_ID)


@dataclass
class Guarded:
    """Callers of ALLOWED may have tokens of `billing` for AUDIENCE and the empty audience; `key:cart` none."""

    bench: Workbench
    opened: Door
    keys: dict[str, str]
    jwt: str
    audit: list[CallRecord] = field(default_factory=list[CallRecord])
    audit_is_full: bool = False
    policy: Policy = field(default_factory=lambda: Policy([usual_rule()]))

    @property
    def left(self) -> float:
        """Seconds that the token of the usual key has left."""
        entry = self.bench.entry(TokenKey.of(CLIENT, AUDIENCE))
        assert entry is not None
        assert entry.token is not None
        return entry.token.remaining(self.bench.clock.monotonic())


def usual_rule(*clients: str) -> Rule:
    return Rule("usual", ALLOWED, clients or (CLIENT,), (AUDIENCE, ""), ("", "orders:*"), frozenset({Act.GET}))


@asynccontextmanager
async def guarded_door(
    options: EndpointOptions = OPTIONS,
    limits: ListenerLimits = LIMITS,
    *,
    authority: Authority | None = None,
    quotas: QuotaOptions | None = None,
    shown: str = "",
    clock: ManualClock | None = None,
) -> AsyncGenerator[Guarded]:
    """Until the end of the block. `authority`: with TLS; `shown`: the SPIFFE ID of its callers' certificate."""
    clock = clock or ManualClock(unix=time.time())
    bench = Workbench(clock=clock)
    keys = {name: new_api_key(name)[0].reveal() for name in ("billing", "cart")}
    known = parse_api_keys(("[keys]\n" + "\n".join(api_key_line(*each) for each in keys.items())).encode())
    signer = Signer("one", "ES256")
    public = parse_jwks(signer.jwks())
    issuer = JwtIssuer(
        name="k8s",
        issuer=ISSUER,
        audiences=frozenset({OF_JWTS}),
        algorithms=["ES256"],
        keys=lambda: public,
        leeway=30.0,
    )

    def write(record: CallRecord) -> None:
        if guarded.audit_is_full:
            raise AuditUnavailable("the disk is full", remedy="Make room.", retry_after=1.0)
        guarded.audit.append(record)

    identify = Identifier(frozenset({"prod.example.com"}), [issuer], lambda: known, clock).identify
    guards = Guards(identify, lambda: guarded.policy, Quotas(quotas, clock) if quotas else None, write)
    contexts = _contexts(authority, shown) if authority else (None, None)
    calls = calls_of(bench.broker, guards, None, clock)
    async with door(calls, options, limits, context=contexts[0], trusting=contexts[1], clock=clock) as opened:
        guarded = Guarded(bench, opened, keys, signer.token(claims(clock.unix())))
        yield guarded
    await bench.broker.close(0.0)


def _contexts(authority: Authority, shown: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of the server, which asks for certificates and needs none; and of its callers."""
    own = authority.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    trusting = ssl.create_default_context(cafile=authority.ca)
    if shown:
        issued = authority.caller(shown)
        trusting.load_cert_chain(issued.certificate, issued.key)
    return context, trusting
