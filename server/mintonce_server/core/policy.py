"""Who may have what. Nobody may have anything unless a rule says so; rules only allow."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from mintonce_server.core.patterns import Patterns

MAX_DECISIONS: Final = 16_384
"""Callers and decisions that are remembered in all. When there are more, all is forgotten."""

MAX_DECISIONS_OF_CALLER: Final = 128
"""Remembered for one caller: one that invents questions makes only its own decisions forgotten."""

_MEMORABLE: Final = 512  # characters; longer questions are answered anew each time, so that they fill no memory
_MAX_NAME: Final = 4096

# The names that core.caller promises. Whatever else should get here has no rule at all, not even one for everybody.
_NAME: Final = re.compile(rf"[\x21-\x7e]{{1,{_MAX_NAME}}}")


class Act(StrEnum):
    """What a caller may do with a token."""

    GET = "get"
    WATCH = "watch"
    REJECT = "reject"
    ADMIN = "admin"


USUAL_ACTS: Final = frozenset({Act.GET, Act.WATCH})
"""What a rule allows that does not say."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What some callers may do. All patterns are as in core.patterns; raises ValueError for a malformed one.

    Attributes:
        scopes: each scope that is asked for must match one of these. () when none may be asked for.
    """

    name: str
    callers: tuple[str, ...]
    clients: tuple[str, ...]
    audiences: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    may: frozenset[Act] = USUAL_ACTS
    _callers: Patterns = field(init=False, repr=False, compare=False)
    _clients: Patterns = field(init=False, repr=False, compare=False)
    _audiences: Patterns = field(init=False, repr=False, compare=False)
    _scopes: Patterns = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("callers", "clients", "audiences", "scopes"):
            object.__setattr__(self, f"_{name}", Patterns(getattr(self, name)))

    def is_for(self, caller: str) -> bool:
        return self._callers.match(caller)

    def allows(self, act: Act, client: str, audience: str, scopes: Iterable[str]) -> bool:
        """Whether a caller of this rule may do that."""
        return (
            act in self.may
            and self._clients.match(client)
            and self._audiences.match(audience)
            and all(map(self._scopes.match, scopes))
        )

    def misses(self, act: Act, client: str, audience: str, scopes: Iterable[str]) -> "Misses":
        """What stands in the way of that."""
        return Misses(
            self,
            act=act not in self.may,
            client=not self._clients.match(client),
            audience=not self._audiences.match(audience),
            scopes=tuple(scope for scope in scopes if not self._scopes.match(scope)),
        )


@dataclass(frozen=True, slots=True)
class Misses:
    """Where a question and a rule for its caller differ.

    Attributes:
        act, client, audience: True when that is what the rule does not have.
        scopes: those that the rule does not have.
    """

    rule: Rule
    act: bool
    client: bool
    audience: bool
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """`rule`: the first rule that allows it; "" when none does."""

    allowed: bool
    rule: str


DENIED: Final = Decision(allowed=False, rule="")

_Question = tuple[Act, str, str, tuple[str, ...]]


class _Known:
    """What is remembered of one caller."""

    __slots__ = ("decisions", "rules")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self.decisions: dict[_Question, Decision] = {}


class Policy:
    """All rules, in their order. Never changes: a changed file makes a new one.

    Attributes:
        remarks: what looks like a mistake in the rules, and does no harm: a sentence each.
    """

    def __init__(self, rules: Iterable[Rule], remarks: Sequence[str] = ()) -> None:
        self.rules = tuple(rules)
        self.remarks = tuple(remarks)
        self._known: dict[str, _Known] = {}
        self._remembered = 0

    def decide(self, caller_name: str, act: Act, client: str, audience: str, scopes: Sequence[str]) -> Decision:
        """May the caller do that? A question that was asked before costs a look into two dictionaries."""
        known = self._known.get(caller_name)
        if known is None:
            if not _NAME.fullmatch(caller_name):
                return DENIED
            known = self._meet(caller_name)
        question = (act, client, audience, tuple(scopes))
        decision = known.decisions.get(question)
        return decision if decision is not None else self._remember(known, question, _decide(known.rules, question))

    def may_administer(self, caller_name: str) -> bool:
        """Whether there is anything at all that the caller administers."""
        return any(Act.ADMIN in rule.may for rule in self._rules_for(caller_name))

    def near_misses(
        self, caller_name: str, act: Act, client: str, audience: str, scopes: Sequence[str]
    ) -> tuple[Misses, ...]:
        """For each rule for this caller, in their order, what stands in the way."""
        return tuple(rule.misses(act, client, audience, scopes) for rule in self._rules_for(caller_name))

    def _rules_for(self, caller_name: str) -> tuple[Rule, ...]:
        if not _NAME.fullmatch(caller_name):
            return ()
        return tuple(rule for rule in self.rules if rule.is_for(caller_name))

    def _meet(self, caller_name: str) -> _Known:
        self._forget_too_much()
        known = self._known[caller_name] = _Known(self._rules_for(caller_name))
        self._remembered += 1
        return known

    def _remember(self, known: _Known, question: _Question, decision: Decision) -> Decision:
        _, client, audience, scopes = question
        if len(client) + len(audience) + sum(map(len, scopes)) > _MEMORABLE:
            return decision
        if len(known.decisions) >= MAX_DECISIONS_OF_CALLER:
            self._remembered -= len(known.decisions)
            known.decisions.clear()
        known.decisions[question] = decision
        self._remembered += 1
        self._forget_too_much()
        return decision

    def _forget_too_much(self) -> None:
        if self._remembered >= MAX_DECISIONS:
            self._known.clear()
            self._remembered = 0


def _decide(rules: Iterable[Rule], question: _Question) -> Decision:
    for rule in rules:
        if rule.allows(*question):
            return Decision(allowed=True, rule=rule.name)
    return DENIED


OPEN_RULE: Final = "open"

OPEN: Final = Policy([Rule(OPEN_RULE, ("*",), ("*",), ("*",), ("*",), frozenset(Act))])
"""For a server that asks nobody who he is."""
