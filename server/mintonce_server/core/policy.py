"""Which caller may have which token. Deny by default; rules only allow."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from mintonce_server.core.key import audience_names
from mintonce_server.core.patterns import Patterns

MAX_DECISIONS: Final = 16_384
"""Callers and decisions that are remembered in all. When there are more, all is forgotten."""

MAX_DECISIONS_OF_CALLER: Final = 128
"""Remembered for one caller: one that invents questions makes only its own decisions forgotten."""

_MEMORABLE: Final = 512  # characters; longer requests are not cached, so that they fill no memory
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
        scopes: each scope that is asked for or granted must match one of these; "" stands for asking for none.
            () when none may be asked for, and none be granted.
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

    def is_about(self, client: str) -> bool:
        return self._clients.match(client)

    def allows(self, act: Act, client: str, audience: str, scopes: Sequence[str], granted: Sequence[str] = ()) -> bool:
        """Whether a caller of this rule may do that, and have a token with the scopes that were granted."""
        return (
            act in self.may
            and self._clients.match(client)
            and self._audiences.match(audience)
            and (bool(scopes) or self._allows_no_scope())
            and all(map(self._scopes.match, scopes))
            and all(map(self._scopes.match, granted))
        )

    def misses(
        self, act: Act, client: str, audience: str, scopes: Sequence[str], granted: Sequence[str] = ()
    ) -> "Misses":
        """What stands in the way of that."""
        return Misses(
            self,
            act=act not in self.may,
            client=not self._clients.match(client),
            audience=not self._audiences.match(audience),
            scopes=self._beyond(scopes),
            no_scope=not scopes and not self._allows_no_scope(),
            granted=self._beyond(granted),
        )

    def _allows_no_scope(self) -> bool:
        """Asking for none may mean all: there are issuers that grant everything then."""
        return not self.scopes or self._scopes.match("")

    def _beyond(self, scopes: Iterable[str]) -> tuple[str, ...]:
        return tuple(scope for scope in scopes if not self._scopes.match(scope))


@dataclass(frozen=True, slots=True)
class Misses:
    """Where a question and a rule for its caller differ.

    Attributes:
        act, client, audience: True when that is what the rule does not have.
        scopes: those that are asked for and that the rule does not have.
        no_scope: True when no scope is asked for and the rule wants some to be.
        granted: those that the issuer granted and that the rule does not have.
    """

    rule: Rule
    act: bool
    client: bool
    audience: bool
    scopes: tuple[str, ...]
    no_scope: bool = False
    granted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """`rule`: the first rule that allows it; "" when none does."""

    allowed: bool
    rule: str


DENIED: Final = Decision(allowed=False, rule="")

_Question = tuple[Act, str, str, tuple[str, ...], tuple[str, ...]]


class _Known:
    """What is remembered of one caller. `weight`: of all decisions, see `_weight`."""

    __slots__ = ("decisions", "rules", "weight")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self.decisions: dict[_Question, Decision] = {}
        self.weight = 0


class Policy:
    """All rules, in their order. Never changes: a changed file makes a new one.

    Attributes:
        remarks: what looks like a mistake in the rules, and does no harm: a sentence each.
    """

    def __init__(
        self, rules: Iterable[Rule], remarks: Sequence[str] = (), with_several: Collection[str] = frozenset()
    ) -> None:
        """`with_several`: clients for which spaces in an audience separate several. Each of them must be allowed."""
        self._with_several = frozenset(with_several)
        self.rules = tuple(rules)
        self.remarks = tuple(remarks)
        self._known: dict[str, _Known] = {}
        self._remembered = 0

    def decide(
        self,
        caller_name: str,
        act: Act,
        client: str,
        audience: str,
        scopes: Sequence[str],
        granted: tuple[str, ...] = (),
    ) -> Decision:
        """May the caller do that? A question that was asked before costs a look into two dictionaries.

        `granted`: the scopes of the token that is about to go out, where they are not those that were asked for.
        """
        known = self._known.get(caller_name)
        if known is None:
            if not _NAME.fullmatch(caller_name):
                return DENIED
            known = self._meet(caller_name)
        question = (act, client, audience, tuple(scopes), granted)
        decision = known.decisions.get(question)
        if decision is not None:
            return decision
        return self._remember(known, question, _decide_all(known.rules, self._each(question)))

    def _each(self, question: _Question) -> list[_Question]:
        """One question for each audience."""
        act, client, audience, scopes, granted = question
        names = audience_names(audience, several=client in self._with_several)
        return [(act, client, name, scopes, granted) for name in names]

    def may_administer(self, caller_name: str) -> bool:
        """Whether there is anything at all that the caller administers."""
        return any(Act.ADMIN in rule.may for rule in self._rules_for(caller_name))

    def administers(self, caller_name: str, client: str) -> bool:
        """Whether the caller administers some tokens of this client."""
        return self.may_some(caller_name, Act.ADMIN, client)

    def may_some(self, caller_name: str, act: Act, client: str) -> bool:
        """Whether the caller may do this to some tokens of this client."""
        return any(act in rule.may and rule.is_about(client) for rule in self._rules_for(caller_name))

    def near_misses(
        self,
        caller_name: str,
        act: Act,
        client: str,
        audience: str,
        scopes: Sequence[str],
        granted: tuple[str, ...] = (),
    ) -> tuple[Misses, ...]:
        """For each rule for this caller, in their order, what stands in the way."""
        known = self._known.get(caller_name)
        rules = known.rules if known else self._rules_for(caller_name)
        questions = self._each((act, client, audience, tuple(scopes), granted))
        denied = next((each for each in questions if not _decide(rules, each).allowed), questions[0])
        return tuple(rule.misses(*denied) for rule in rules)

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
        _, client, audience, scopes, _ = question
        if len(client) + len(audience) + sum(map(len, scopes)) > _MEMORABLE:
            return decision
        if len(known.decisions) >= MAX_DECISIONS_OF_CALLER:
            self._remembered -= known.weight
            known.decisions.clear()
            known.weight = 0
        known.decisions[question] = decision
        known.weight += _weight(question)
        self._remembered += _weight(question)
        self._forget_too_much()
        return decision

    def _forget_too_much(self) -> None:
        if self._remembered >= MAX_DECISIONS:
            self._known.clear()
            self._remembered = 0


def _weight(question: _Question) -> int:
    """What remembering it costs: an issuer may grant a thousand scopes at once."""
    return 1 + len(question[4]) // 16


def _decide_all(rules: Iterable[Rule], questions: Sequence[_Question]) -> Decision:
    """Allowed if each is, perhaps by different rules; the first one's rule is named."""
    decisions = (_decide(rules, question) for question in questions)
    first = next(decisions)
    return first if first.allowed and all(decision.allowed for decision in decisions) else DENIED


def _decide(rules: Iterable[Rule], question: _Question) -> Decision:
    for rule in rules:
        if rule.allows(*question):
            return Decision(allowed=True, rule=rule.name)
    return DENIED


OPEN_RULE: Final = "open"

OPEN: Final = Policy([Rule(OPEN_RULE, ("*",), ("*",), ("*",), ("*",), frozenset(Act))])
"""Used when caller authentication is disabled."""
