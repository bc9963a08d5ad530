"""What stands between a caller and the broker: who is it, may it, how much, and a line in the audit log."""

import asyncio
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from mintonce_server.core.broker import Served
from mintonce_server.core.caller import ANONYMOUS, Caller
from mintonce_server.core.errors import MintonceError, PermissionDenied, Reason, Unauthenticated
from mintonce_server.core.key import TokenKey
from mintonce_server.core.policy import OPEN, Act, Policy
from mintonce_server.core.ports import Clock
from mintonce_server.core.quotas import Quotas
from mintonce_server.core.token import Token
from mintonce_server.rpc.arrival import arrival
from mintonce_server.rpc.calls import Context, name_call
from mintonce_server.rpc.status import CODES
from mintonce_server.telemetry.audit import CallRecord
from mintonce_server.telemetry.audit_repeats import UNKNOWN
from mintonce_server.telemetry.logs import bind_caller

_NOT_ALLOWED: Final[dict[str, str]] = {
    Reason.UNAUTHENTICATED: "unauthenticated",
    Reason.PERMISSION_DENIED: "deny",
    Reason.LIMIT_EXCEEDED: "deny",
    Reason.INVALID_REQUEST: "deny",
}

_VERBS: Final = {Act.GET: "get", Act.WATCH: "watch", Act.REJECT: "reject", Act.ADMIN: "administer"}

Identify = Callable[[bytes | None, Sequence[str]], Caller]
"""From the PEM of the verified client certificate and the values of `authorization`. Raises Unauthenticated."""


@dataclass(frozen=True, slots=True)
class Guards:
    """Attributes:
    identify: who calls; None: nobody is asked.
    policy: the policy as it is now.
    audit: writes a record down, or raises AuditUnavailable; None: there is no audit log.
    """

    identify: Identify | None
    policy: Callable[[], Policy]
    quotas: Quotas | None = None
    audit: Callable[[CallRecord], None] | None = None


OPEN_GUARDS: Final = Guards(None, lambda: OPEN)
"""For a server that asks nobody who he is."""


class Passage:
    """One call on its way through the gate."""

    __slots__ = ("_clock", "_guards", "act", "caller", "key", "peer", "request_id", "rule", "served")

    def __init__(self, guards: Guards, clock: Clock, act: Act) -> None:
        self._guards = guards
        self._clock = clock
        self.act = act
        self.caller: Caller | None = None
        self.request_id = ""
        self.peer = ""
        self.key: TokenKey | None = None
        self.rule = ""
        self.served: Token | None = None

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

    def allow_list(self, tokens: Iterable[Token]) -> list[Token]:
        """Those that the caller administers."""
        policy = self._guards.policy()
        return [
            token
            for token in tokens
            if policy.decide(self.name, Act.ADMIN, token.key.client, token.key.audience, token.key.scopes).allowed
        ]

    def allow_admin(self) -> None:
        """Raises PermissionDenied for a caller that administers nothing."""
        if not self._guards.policy().may_administer(self.name):
            raise _denied(Act.ADMIN)

    def check(self) -> float | None:
        """For a watch that goes on: raises once it may not. The seconds that the caller's proof holds, or None."""
        assert self.caller is not None  # noqa: S101 - for type checkers: nobody gets here without an identity
        assert self.key is not None  # noqa: S101 - as above
        left = _still_valid(self.caller, self._clock)
        self.allow(self.key)
        return left

    def admit_mint(self) -> None:
        """Raises LimitExceeded for a caller that causes too many mints."""
        if self._guards.quotas:
            self._guards.quotas.take_mint(self.name)

    def admit_reject(self) -> None:
        """Raises LimitExceeded for a caller that rejects too often."""
        if self._guards.quotas:
            self._guards.quotas.take_reject(self.name)

    def answered(self, served: Served) -> None:
        """What the caller gets."""
        self.served = served.token


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
        passage, came = Passage(self._guards, self._clock, act), arrival()
        if self._guards.audit:
            passage.request_id = name_call(context)
            passage.peer = came.peer
        try:
            passage.caller = caller = came.caller
            if caller and caller is not ANONYMOUS:
                bind_caller(caller.name)
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

    def identify(self, context: Context) -> Caller:
        """From the headers and the certificate. Raises Unauthenticated."""
        if self._guards.identify is None:
            return ANONYMOUS
        certificates = tuple(context.auth_context().get("x509_pem_cert") or ())
        metadata = context.invocation_metadata() or ()
        authorization = [str(value) for name, value in metadata if name == "authorization"]
        caller = self._guards.identify(bytes(certificates[0]) if certificates else None, authorization)
        _still_valid(caller, self._clock)
        return caller

    def _share(self, caller: str, watching: bool) -> AbstractContextManager[None]:
        return self.quotas.watching(caller) if self.quotas and watching else nullcontext()

    def _write(self, context: Context, passage: Passage, status: str, reason: str) -> None:
        if self._guards.audit is None:
            return
        key, token = passage.key, passage.served
        self._guards.audit(
            CallRecord(
                request_id=passage.request_id,
                caller=passage.name,
                caller_kind=passage.caller.kind if passage.caller else "",
                peer=passage.peer,
                act=passage.act,
                client=key.client if key else "",
                audience=key.audience if key else "",
                scopes=key.scopes if key else (),
                key=self._key_hash(key) if key else "",
                decision=_decision(reason),
                rule=passage.rule,
                status=status,
                reason=reason,
                generation=token.generation if token else 0,
                token_sha256=token.access_token.fingerprint()[:16] if token else "",
            )
        )


def _decision(reason: str) -> str:
    """What was decided, whatever came of it later: the issuer may be down for an allowed call, too."""
    return _NOT_ALLOWED.get(reason, "allow")


def _still_valid(caller: Caller, clock: Clock) -> float | None:
    """Seconds that the caller's proof holds, None for ever. Raises Unauthenticated when it is over."""
    if caller.valid_until is None:
        return None
    left = caller.valid_until - clock.unix()
    if left <= 0:
        raise Unauthenticated(
            "the proof of identity has expired", remedy="Connect again with the renewed certificate or token."
        )
    return left


def _denied(act: Act) -> PermissionDenied:
    return PermissionDenied(
        f"the policy does not allow this caller to {_VERBS[act]} this",
        remedy="Ask those who run Mintonce for a rule; `mintonced explain` shows them what is missing.",
    )
