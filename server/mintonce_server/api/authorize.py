"""What stands between a caller and the broker: who is it, may it, how much, and a line in the audit log."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from mintonce_server.api.arrival import arrival
from mintonce_server.api.calls import name_call
from mintonce_server.api.context import Context
from mintonce_server.api.granting import judge_grant
from mintonce_server.api.proving import UNCHANGING, Identify, Proof, Version
from mintonce_server.api.status import CODES
from mintonce_server.core.broker import Served
from mintonce_server.core.caller import ANONYMOUS, Caller
from mintonce_server.core.errors import MintonceError, PermissionDenied, Reason
from mintonce_server.core.key import TokenKey
from mintonce_server.core.limits import Quotas
from mintonce_server.core.policy import OPEN, Act, Policy
from mintonce_server.core.ports import Clock
from mintonce_server.core.token import Token
from mintonce_server.observability.audit import CallRecord
from mintonce_server.observability.audit_repeats import UNKNOWN
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
    identify: who calls; None: nobody is asked.
    policy: the policy as it is now.
    audit: writes a record down, or raises AuditUnavailable; None: there is no audit log.
    identities: another number each time that something has changed that `identify` goes by.
    """

    identify: Identify | None
    policy: Callable[[], Policy]
    quotas: Quotas | None = None
    audit: Callable[[CallRecord], None] | None = None
    identities: Version = UNCHANGING


OPEN_GUARDS: Final = Guards(None, lambda: OPEN)
"""For a server that asks nobody who he is."""


class Passage:
    """One call on its way through the gate."""

    __slots__ = (
        "_guards", "act", "client", "detail", "judged", "key", "peer", "proof", "rejected", "request_id", "rule",
        "served",
    )  # fmt: skip

    def __init__(self, guards: Guards, act: Act) -> None:
        self._guards = guards
        self.act = act
        self.proof: Proof | None = None
        self.request_id = ""
        self.peer = ""
        self.key: TokenKey | None = None
        self.client = ""
        """Whose tokens are listed."""
        self.rejected: int | bytes | None = None
        """The generation, or the SHA-256, that a caller rejects."""
        self.rule = ""
        self.detail = ""
        """Why, where the reason alone does not say it. For the audit log: the caller is not told."""
        self.judged: Token | None = None
        """The last token that was about to go out."""
        self.served: Token | None = None
        """The one that goes out with this record."""

    @property
    def caller(self) -> Caller | None:
        return self.proof.caller if self.proof else None

    @property
    def name(self) -> str:
        return self.caller.name if self.caller else UNKNOWN

    def allow(self, key: TokenKey) -> None:
        """Raises PermissionDenied, which says the same whether or not there is such a client or token."""
        self.key = key
        decision = self._guards.policy().decide(self.name, self.act, key.client, key.audience, key.scopes)
        self.rule = decision.rule
        if not decision.allowed:
            raise _denied(self.act)

    def may_list(self, token: Token) -> bool:
        """Whether the caller administers it."""
        key = token.key
        return self._guards.policy().decide(self.name, Act.ADMIN, key.client, key.audience, key.scopes).allowed

    def allow_listing(self, client: str) -> None:
        """Raises PermissionDenied for a caller that administers nothing. `client`: whose tokens; "" for all."""
        self.client = client
        if not self._guards.policy().may_administer(self.name):
            raise _denied(Act.ADMIN)

    def check(self) -> float | None:
        """For a call that goes on: raises once it may not. The seconds that the caller's proof holds, or None."""
        assert self.proof is not None  # noqa: S101 - for type checkers: nobody gets here without an identity
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
        """What the caller gets. Raises PermissionDenied when the issuer granted more than the policy gives."""
        assert self.key is not None  # noqa: S101 - as above
        self.judged = served.token
        self._allow_grant(self.key, served.token)
        self.served = served.token

    def _allow_grant(self, key: TokenKey, token: Token) -> None:
        if token.scopes != key.scopes:  # otherwise it is allowed already
            self.rule, self.detail = judge_grant(self._guards.policy(), self.name, self.act, key, token.scopes)
            if self.detail:
                raise PermissionDenied(
                    "the issuer granted more scopes than the policy allows this caller",
                    remedy="Ask for the scopes that you need, by name. Or ask those who run Mintonce: the audit log "
                    "shows them what was granted, and `mintonced explain --granted` what is missing.",
                )


class Gate:
    """Lets calls through, one passage each."""

    def __init__(self, guards: Guards, clock: Clock, key_hash: Callable[[TokenKey], str]) -> None:
        self._guards = guards
        self.quotas = guards.quotas
        self._clock = clock
        self._key_hash = key_hash

    @contextmanager
    def passing(self, context: Context, act: Act, *, watching: bool = False) -> Generator[Passage]:
        """Who calls is known inside; what came of it is written down at the end, before an answer goes out."""
        passage, came = Passage(self._guards, act), arrival()
        if self._guards.audit:
            passage.request_id = name_call(context)
            passage.peer = came.peer
        try:
            passage.proof = came.proof
            if came.caller and came.caller is not ANONYMOUS:
                bind_caller(came.caller.name)
            if came.refusal:
                raise came.refusal
            with self._share(passage.name, watching):
                yield passage
        except (asyncio.CancelledError, GeneratorExit):  # the latter: grpc closes a watch whose caller hung up
            self._write(context, passage, "CANCELLED", "")
            raise
        except MintonceError as error:
            self._write(context, passage, CODES[error.reason].name, error.reason)
            raise
        except Exception:
            self._write(context, passage, "INTERNAL", Reason.INTERNAL)
            raise
        self._write(context, passage, "OK", "")

    def sent(self, context: Context, passage: Passage) -> None:
        """One token of a watch goes out."""
        self._write(context, passage, "OK", "")
        passage.served = None

    def prove(self, context: Context) -> Proof:
        """Who calls, from the headers and the certificate. Raises Unauthenticated."""
        return Proof(self._guards.identify, self._guards.identities, self._clock, context)

    def _share(self, caller: str, watching: bool) -> AbstractContextManager[None]:
        return self.quotas.watching(caller) if self.quotas and watching else nullcontext()

    def _write(self, context: Context, passage: Passage, status: str, reason: str) -> None:
        if self._guards.audit is None:
            return
        key, judged = passage.key, passage.judged
        generation, fingerprint = _named(passage.rejected if passage.served is None else passage.served)
        self._guards.audit(
            CallRecord(
                request_id=passage.request_id,
                caller=passage.name,
                caller_kind=passage.caller.kind if passage.caller else "",
                peer=passage.peer,
                act=passage.act,
                client=key.client if key else passage.client,
                audience=key.audience if key else "",
                scopes=key.scopes if key else (),
                key=self._key_hash(key) if key else "",
                decision=_decision(reason),
                rule=passage.rule,
                status=status,
                reason=reason,
                generation=generation,
                token_sha256=fingerprint[:16],
                granted_scopes=judged.scopes if judged else (),
                granted_audience=judged.audience if judged else (),
                detail=passage.detail,
            )
        )


def _decision(reason: str) -> str:
    """What was decided, whatever came of it later: the issuer may be down for an allowed call, too."""
    return _NOT_ALLOWED.get(reason, "allow")


def _named(what: Token | int | bytes | None) -> tuple[int, str]:
    """Generation and fingerprint of a token that goes out, or as a caller names the one that it rejects."""
    match what:
        case int():
            return what, ""
        case bytes():
            return 0, what.hex()
        case Token():
            return what.generation, what.access_token.fingerprint()
        case None:
            return 0, ""


def _denied(act: Act) -> PermissionDenied:
    return PermissionDenied(
        f"the policy does not allow this caller to {_VERBS[act]} this",
        remedy="Ask those who run Mintonce for a rule; `mintonced explain` shows them what is missing.",
    )
