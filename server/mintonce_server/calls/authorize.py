"""Between a caller and the broker: who calls, what it may do, how much of it, and a line in the audit log."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from mintonce_server.calls.call import Call
from mintonce_server.calls.proof import UNCHANGING, Identify, Proof, Shown, Version
from mintonce_server.calls.status import NAMES
from mintonce_server.common.clock import Clock
from mintonce_server.core.broker import Served
from mintonce_server.core.caller import ANONYMOUS, Caller
from mintonce_server.core.errors import LimitExceeded, MintonceError, PermissionDenied, Reason, Unauthenticated
from mintonce_server.core.key import TokenKey
from mintonce_server.core.limits import Quotas
from mintonce_server.core.policy import Act, Misses, Policy
from mintonce_server.core.token import Token
from mintonce_server.core.tracing import CallSpan
from mintonce_server.observability.audit import CallRecord
from mintonce_server.observability.audit_repeats import UNKNOWN
from mintonce_server.observability.call_meter import CallMeter
from mintonce_server.observability.logs import bind_caller

_NOT_ALLOWED: Final[dict[str, str]] = {
    Reason.UNAUTHENTICATED: "unauthenticated",
    Reason.PERMISSION_DENIED: "deny",
    Reason.LIMIT_EXCEEDED: "deny",
    Reason.INVALID_REQUEST: "deny",
}

_VERBS: Final = {Act.GET: "get", Act.WATCH: "watch", Act.REJECT: "reject", Act.ADMIN: "administer"}


@dataclass(frozen=True, slots=True)
class Guards:
    """Attributes:
    identify: says who calls. None: callers need no identity.
    policy: returns the current policy.
    audit: writes a record, or raises AuditUnavailable. None: there is no audit log.
    identities: returns another number after each change of what `identify` checks against.
    denied: gets the caller's name ("" if it proved none), the reason and the act of each call that is denied.
    """

    identify: Identify | None
    policy: Callable[[], Policy]
    quotas: Quotas | None = None
    audit: Callable[[CallRecord], None] | None = None
    identities: Version = UNCHANGING
    denied: Callable[[str, str, str], None] = lambda _, __, ___: None


class CallScope:
    """What is known and decided about one call, for its audit record."""

    __slots__ = (
        "_guards", "act", "by_policy", "client", "detail", "judged", "key", "peer", "proof", "rejected", "request_id",
        "rule", "served", "span", "via",
    )  # fmt: skip

    def __init__(self, guards: Guards, act: Act) -> None:
        self._guards = guards
        self.act = act
        self.proof: Proof | None = None
        self.request_id = ""
        self.peer = ""
        self.via = ""
        self.key: TokenKey | None = None
        self.client = ""
        """The client whose tokens are listed."""
        self.rejected: int | bytes | None = None
        """The generation or the SHA-256 that the caller rejects."""
        self.rule = ""
        self.by_policy = False
        """Whether the policy denied it, and not a client's list of audiences."""
        self.detail = ""
        """More than the reason says. For the audit log only, not for the caller."""
        self.judged: Token | None = None
        """The last token that was checked for the caller."""
        self.served: Served | None = None
        """What is handed out with this record."""
        self.span: CallSpan | None = None

    @property
    def caller(self) -> Caller | None:
        return self.proof.caller if self.proof else None

    @property
    def name(self) -> str:
        return self.caller.name if self.caller else UNKNOWN

    @property
    def client_name(self) -> str:
        """Of the key, or whose tokens are listed; "" for none."""
        return self.key.client if self.key else self.client

    def allow(self, key: TokenKey) -> None:
        """Raises PermissionDenied, with the same text whether or not there is such a client or token."""
        self.key = key
        decision = self._guards.policy().decide(self.name, self.act, key.client, key.audience, key.scopes)
        self.rule = decision.rule
        if not decision.allowed:
            self.by_policy = True
            raise denied(self.act)

    def may_list(self, token: Token) -> bool:
        """Whether the caller may administer the token."""
        key = token.key
        return self._guards.policy().decide(self.name, Act.ADMIN, key.client, key.audience, key.scopes).allowed

    def allow_listing(self, client: str) -> None:
        """Raises PermissionDenied for a caller that may administer nothing. `client`: whose tokens; "" for all."""
        self.client = client
        if not self._guards.policy().may_administer(self.name):
            self.by_policy = True
            raise denied(Act.ADMIN)

    def allow_usage(self, client: str) -> None:
        """Raises PermissionDenied for a caller that may not administer any key of this client."""
        self.client = client
        if not self._guards.policy().administers(self.name, client):
            raise denied(Act.ADMIN)

    def allow_search(self, client: str) -> None:
        """Raises PermissionDenied for a caller that may do this to no token of the client."""
        self.client = client
        if not self._guards.policy().may_some(self.name, self.act, client):
            self.by_policy = True
            raise denied(self.act)

    def check(self) -> float | None:
        """Check a call that goes on again: raises if it may not. The seconds that the caller's proof holds, or None."""
        assert self.proof is not None  # noqa: S101 - for type checkers: no call gets here without an identity
        assert self.key is not None  # noqa: S101 - as above
        left = self.proof.check()
        self.allow(self.key)
        if self.judged is not None:
            self._allow_grant(self.key, self.judged)
        return left

    def admit_mint(self) -> None:
        """Raises LimitExceeded for a caller that causes too many mints."""
        if self._guards.quotas:
            self._guards.quotas.take_mint(self.name)

    def admit_reject(self) -> None:
        """Raises LimitExceeded for a caller that rejects too often."""
        if self._guards.quotas:
            self._guards.quotas.take_reject(self.name)

    def answer(self, served: Served) -> None:
        """Check what the caller gets. Raises PermissionDenied if the issuer granted more than the policy allows."""
        assert self.key is not None  # noqa: S101 - as above
        self.judged = served.token
        self._allow_grant(self.key, served.token)
        self.served = served

    def _allow_grant(self, key: TokenKey, token: Token) -> None:
        if token.scopes != key.scopes:  # otherwise it is allowed already
            self.rule, self.detail = _judge_grant(self._guards.policy(), self.name, self.act, key, token.scopes)
            if self.detail:
                self.by_policy = True
                raise PermissionDenied(
                    "the issuer granted more scopes than the policy allows this caller",
                    remedy="Ask for the scopes that you need, by name. Or ask those who run Mintonce: the audit log "
                    "shows them what was granted, and `mintonced explain --granted` what is missing.",
                )


class Authorizer:
    """Decides about calls, and writes the audit log."""

    def __init__(
        self, guards: Guards, clock: Clock, key_hash: Callable[[TokenKey], str], meter: CallMeter | None = None
    ) -> None:
        self._guards = guards
        self._meter = meter or CallMeter()
        self.quotas = guards.quotas
        self._clock = clock
        self._key_hash = key_hash

    @contextmanager
    def authorize(self, call: Call, act: Act, *, watching: bool = False) -> Generator[CallScope]:
        """Handle the call inside. Its result is written to the audit log at the end, before an answer is sent."""
        scope = CallScope(self._guards, act)
        if self._guards.audit:
            scope.request_id = call.request_id()
            scope.peer = call.peer
            scope.via = call.transport.via
        try:
            scope.proof, scope.span = call.proof, call.span
            if call.caller and call.caller is not ANONYMOUS:
                bind_caller(call.caller.name)
            call.must_be_received()
            with self._share(scope.name, watching):
                yield scope
        except (asyncio.CancelledError, GeneratorExit):  # the latter: grpc closes a watch whose caller hung up
            self._write(scope, "CANCELLED", "")
            raise
        except MintonceError as error:
            call.client = scope.client_name
            self._count(scope, error)
            self._write(scope, NAMES[error.reason], error.reason)
            raise
        except Exception:
            call.client = scope.client_name
            self._write(scope, "INTERNAL", Reason.INTERNAL)
            raise
        self._hand_out(scope)

    def record_sent(self, scope: CallScope) -> None:
        """One token of a watch is handed out."""
        self._hand_out(scope)
        scope.served = None

    def _hand_out(self, scope: CallScope) -> None:
        self._write(scope, "OK", "")
        if (served := scope.served) is not None:
            token = served.token
            self._meter.served(token.key.client, served.origin, served.degraded)
            if scope.span is not None:
                scope.span.served(token.key.client, served.origin, served.degraded, token.generation)

    def _count(self, scope: CallScope, error: MintonceError) -> None:
        identity = scope.caller.kind.value if scope.caller else "none"
        if _decision(error.reason) != "allow":
            self._guards.denied(scope.caller.name if scope.caller else "", error.reason, scope.act)
        match error:
            case Unauthenticated():
                self._meter.denied("unauthenticated", scope.act, identity)
            case PermissionDenied():
                self._meter.denied("policy" if scope.by_policy else "audience", scope.act, identity)
            case LimitExceeded(quota=quota):
                self._meter.limited(quota)
            case _:
                pass

    def prove(self, shown: Shown) -> Proof:
        """Who calls, from the headers and the certificate. Raises Unauthenticated."""
        return Proof(self._guards.identify, self._guards.identities, self._clock, shown)

    def _share(self, caller: str, watching: bool) -> AbstractContextManager[None]:
        return self.quotas.watching(caller) if self.quotas and watching else nullcontext()

    def _write(self, scope: CallScope, status: str, reason: str) -> None:
        if self._guards.audit is None:
            return
        key, judged = scope.key, scope.judged
        generation, fingerprint = _named(scope.rejected if scope.served is None else scope.served.token)
        self._guards.audit(
            CallRecord(
                request_id=scope.request_id,
                caller=scope.name,
                caller_kind=scope.caller.kind if scope.caller else "",
                peer=scope.peer,
                via=scope.via,
                act=scope.act,
                client=scope.client_name,
                audience=key.audience if key else "",
                scopes=key.scopes if key else (),
                key=judged.key_hash if judged else self._key_hash(key) if key else "",
                decision=_decision(reason),
                rule=scope.rule,
                status=status,
                reason=reason,
                generation=generation,
                token_sha256=fingerprint[:16],
                granted_scopes=judged.scopes if judged else (),
                granted_audience=judged.audience if judged else (),
                detail=scope.detail,
            )
        )


def _decision(reason: str) -> str:
    """The decision, whatever its result: an allowed call may still fail at the issuer."""
    return _NOT_ALLOWED.get(reason, "allow")


def _named(what: Token | int | bytes | None) -> tuple[int, str]:
    """Generation and fingerprint of a token that is handed out, or as the caller names the one that it rejects."""
    match what:
        case int():
            return what, ""
        case bytes():
            return 0, what.hex()
        case Token():
            return what.generation, what.access_token.fingerprint()
        case None:
            return 0, ""


def denied(act: Act) -> PermissionDenied:
    """By the policy: one text, whether or not there is such a client or token."""
    return PermissionDenied(
        f"the policy does not allow this caller to {_VERBS[act]} this",
        remedy="Ask those who run Mintonce for a rule; `mintonced explain` shows them what is missing.",
    )


def _judge_grant(policy: Policy, caller: str, act: Act, key: TokenKey, granted: tuple[str, ...]) -> tuple[str, str]:
    """The rule that allows the caller a token with these scopes, and ""; or "", and what is missing, for people.

    Some issuers grant everything when nothing is requested.
    """
    question = (caller, act, key.client, key.audience, key.scopes, granted)
    decision = policy.decide(*question)
    return (decision.rule, "") if decision.allowed else ("", _missing(policy.near_misses(*question)))


def _missing(misses: Sequence[Misses]) -> str:
    """By the rule that lacks the least, among those that allow the rest."""
    lacks = [miss.granted for miss in misses if not (miss.act or miss.client or miss.audience or miss.scopes)]
    fewest = min(lacks, key=len) if lacks else ()
    return (
        f"granted, and covered by no rule: {' '.join(fewest)}. "
        "Name them among the rule's scopes, or grant fewer at the issuer"
    )
