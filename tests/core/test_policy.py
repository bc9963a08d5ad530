"""The policy: no caller may have anything unless a rule says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core.caller import ANONYMOUS
from mintonce_server.core.patterns import Pattern
from mintonce_server.core.policy import DENIED, MAX_DECISIONS, MAX_DECISIONS_OF_CALLER, OPEN, Act, Policy, Rule

WEB = "spiffe://acme.org/ns/pay/sa/web"
API = "https://api.example.com/"

PAY = Rule("pay", (WEB, "key:pay"), ("billing", "ledger-*"), (API,), ("", "invoices:*", "read"))
OPS = Rule("ops", ("key:ops",), ("*",), ("*",), ("*",), frozenset({Act.GET, Act.ADMIN}))
POLICY = Policy([PAY, OPS])


def rule_for(caller: str, act: Act, client: str, audience: str, *scopes: str) -> str:
    """The name of the rule that allows it, or ""."""
    decision = POLICY.decide(caller, act, client, audience, scopes)
    assert decision.allowed is bool(decision.rule)
    return decision.rule


def test_without_a_rule_no_caller_may_have_anything() -> None:
    """Default deny."""
    assert Policy([]).decide(WEB, Act.GET, "billing", API, ()) == DENIED
    assert not Policy([]).may_administer(WEB)


def test_a_rule_allows_what_it_says() -> None:
    """Caller, client, audience and act all match; and the decision names the rule."""
    assert rule_for(WEB, Act.GET, "billing", API) == "pay"
    assert rule_for("key:pay", Act.WATCH, "ledger-eu", API) == "pay"


@pytest.mark.parametrize(
    ("caller", "act", "client", "audience", "scope"),
    [
        ("key:web", Act.GET, "billing", API, "read"),
        (WEB, Act.REJECT, "billing", API, "read"),
        (WEB, Act.ADMIN, "billing", API, "read"),
        (WEB, Act.GET, "billings", API, "read"),
        (WEB, Act.GET, "billing", API + "v2", "read"),
        (WEB, Act.GET, "billing", "", "read"),
        (WEB, Act.GET, "billing", API, "write"),
    ],
)
def test_one_thing_amiss_is_enough_to_deny(caller: str, act: Act, client: str, audience: str, scope: str) -> None:
    """All must match, in one rule."""
    assert rule_for(caller, act, client, audience, scope) == ""


def test_every_scope_must_be_covered() -> None:
    """Each by any of the patterns."""
    assert rule_for(WEB, Act.GET, "billing", API, "invoices:read", "invoices:write", "read") == "pay"
    assert rule_for(WEB, Act.GET, "billing", API, "invoices:read", "admin") == ""


def test_scopes_of_two_rules_do_not_add_up() -> None:
    """One rule must allow the whole question."""
    policy = Policy([Rule("a", (WEB,), ("x",), (API,), ("one",)), Rule("b", (WEB,), ("x",), (API,), ("two",))])
    assert policy.decide(WEB, Act.GET, "x", API, ("one",)).rule == "a"
    assert policy.decide(WEB, Act.GET, "x", API, ("two",)).rule == "b"
    assert not policy.decide(WEB, Act.GET, "x", API, ("one", "two")).allowed


def test_a_rule_without_scopes_lets_no_caller_ask_for_one_nor_have_one() -> None:
    """Whatever the issuer grants by default: more needs a word of the rule."""
    policy = Policy([Rule("a", (WEB,), ("x",), (API,))])
    assert policy.decide(WEB, Act.GET, "x", API, ()).allowed
    assert not policy.decide(WEB, Act.GET, "x", API, ("read",)).allowed
    assert not policy.decide(WEB, Act.GET, "x", API, (), ("read",)).allowed


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [(("read",), False), (("read:*",), False), (("read", ""), True), (("",), True), (("*",), True), (("**",), True)],
)
def test_asking_for_no_scope_is_denied_where_a_rule_lists_some(scopes: tuple[str, ...], allowed: bool) -> None:
    """Unless it says that none is fine, too: some issuers grant everything when no scope is requested."""
    policy = Policy([Rule("a", (WEB,), ("x",), (API,), scopes)])
    assert policy.decide(WEB, Act.GET, "x", API, ()).allowed is allowed


def test_what_was_granted_must_be_covered_by_the_rule_that_allows_the_question() -> None:
    """In one rule, like the rest."""
    one, two = Rule("one", (WEB,), ("x",), (API,), ("", "a")), Rule("two", (WEB,), ("x",), (API,), ("b", "b:*"))
    policy = Policy([one, two])
    assert policy.decide(WEB, Act.GET, "x", API, (), ("a",)).rule == "one"
    assert policy.decide(WEB, Act.GET, "x", API, ("b",), ("b", "b:c")).rule == "two"
    assert not policy.decide(WEB, Act.GET, "x", API, (), ("a", "b")).allowed
    assert not policy.decide(WEB, Act.GET, "x", API, (), ("b",)).allowed
    assert not policy.decide(WEB, Act.GET, "x", API, ("a",), ("\\x1b[2J",)).allowed


def test_the_first_rule_that_matches_is_named() -> None:
    """In the order of the file."""
    policy = Policy([Rule("first", ("*",), ("*",), ("*",)), Rule("second", ("*",), ("*",), ("*",))])
    assert policy.decide(WEB, Act.GET, "x", "", ()).rule == "first"


def test_administering_is_known_by_the_caller_alone() -> None:
    """For a list: may this caller see anything of it?"""
    assert POLICY.may_administer("key:ops")
    assert not POLICY.may_administer(WEB)


def test_an_open_server_allows_everything_to_everybody() -> None:
    """Under a name that no file can use."""
    for act in Act:
        assert OPEN.decide(ANONYMOUS.name, act, "x", "", ("any:scope/of",)).rule == "open"
    assert OPEN.may_administer(ANONYMOUS.name)


@pytest.mark.parametrize(
    "name", ["", "key:ops\n", "key:ops\nkey:pay", "key:ops key:pay", "key:öps", "key:ops\0", "\x7f", "k" * 5000]
)
def test_a_name_that_no_identity_has_may_nothing(name: str) -> None:
    """Not even by a rule for everybody: something went wrong before."""
    policy = Policy([OPS, Rule("all", ("*", "**"), ("*",), ("*",), ("*",), frozenset(Act))])
    assert policy.decide(name, Act.GET, "x", API, ()) == DENIED
    assert not policy.may_administer(name)
    assert policy.near_misses(name, Act.GET, "x", API, ()) == ()
    assert remembered(policy) == {}


@pytest.mark.parametrize("name", ["*", "**", "key:*", "key:**", "spiffe://acme.org/**", "key:op?", "key:[o]ps"])
def test_a_caller_cannot_bring_wildcards(name: str) -> None:
    """They mean something in a rule alone."""
    assert POLICY.decide(name, Act.GET, "billing", API, ()) == DENIED


def test_near_misses_say_what_a_rule_for_this_caller_lacks() -> None:
    """Rules for others are not told of."""
    (miss,) = POLICY.near_misses(WEB, Act.REJECT, "other", API, ("read", "write"))
    assert miss.rule is PAY
    assert (miss.act, miss.client, miss.audience, miss.scopes) == (True, True, False, ("write",))
    (miss,) = Policy([Rule("a", (WEB,), ("x",), (API,), ("read",))]).near_misses(WEB, Act.GET, "x", API, (), ("all",))
    assert (miss.no_scope, miss.scopes, miss.granted) == (True, (), ("all",))


def test_rules_are_compared_by_what_they_say() -> None:
    """So that a reload can tell whether anything has changed."""
    assert Rule("a", ("x",), ("y",), ("z",)) == Rule("a", ("x",), ("y",), ("z",))
    assert Rule("a", ("x",), ("y",), ("z",)) != Rule("a", ("x",), ("y",), ("*",))


def test_a_malformed_rule_cannot_be_made() -> None:
    """Rules that do not come from the file are checked, too."""
    with pytest.raises(ValueError, match="three or more"):
        Rule("a", ("***",), ("*",), ("*",))


words = st.sampled_from(["a", "b", "a:b", "a/b", ""])
pattern_lists = st.lists(st.sampled_from(["a", "b", "*", "a*", "**b", "a:*"]), max_size=2).map(tuple)
acts = st.sampled_from(list(Act))
rules = st.builds(Rule, words, pattern_lists, pattern_lists, pattern_lists, pattern_lists, st.frozensets(acts))
several_words = st.lists(words, max_size=2).map(tuple)
questions = st.tuples(words, acts, words, words, several_words, several_words)
Question = tuple[str, Act, str, str, tuple[str, ...], tuple[str, ...]]


def naive(rule: Rule, question: Question) -> bool:
    """The definition."""
    caller, act, client, audience, scopes, granted = question

    def has(texts: tuple[str, ...], text: str) -> bool:
        return any(Pattern(pattern).matches(text) for pattern in texts)

    return (
        caller != ""
        and act in rule.may
        and has(rule.callers, caller)
        and has(rule.clients, client)
        and has(rule.audiences, audience)
        and all(has(rule.scopes, scope) for scope in (*scopes, *granted))
        and (scopes != () or rule.scopes == () or has(rule.scopes, ""))
    )


@given(st.lists(rules, max_size=4), st.lists(questions, max_size=8))
def test_what_is_remembered_changes_no_decision(several: list[Rule], asked: list[Question]) -> None:
    """The same policy decides twice, in both orders, and always says what the definition says."""
    policy = Policy(several)
    for question in (*asked, *reversed(asked)):
        first = next((rule.name for rule in several if naive(rule, question)), None)
        decision = policy.decide(*question)
        assert (decision.allowed, decision.rule) == (first is not None, first or "")


@given(st.lists(rules, max_size=4), questions)
def test_a_denied_question_is_explained_and_an_allowed_one_has_a_rule_without_misses(
    several: list[Rule], question: Question
) -> None:
    """`explain` and the decision never contradict each other."""
    misses = Policy(several).near_misses(*question)
    lacks = [(miss.act, miss.client, miss.audience, miss.scopes, miss.no_scope, miss.granted) for miss in misses]
    fine = [each for each in lacks if not any(each)]
    assert Policy(several).decide(*question).allowed is bool(fine)


def remembered(policy: Policy) -> dict[str, int]:
    """How many decisions are remembered of each caller. There is no other way to see that memory has a bound."""
    return {name: len(known.decisions) for name, known in policy._known.items()}


def test_a_caller_that_invents_questions_crowds_out_no_other() -> None:
    """Its own decisions are forgotten instead."""
    policy = Policy([OPS])
    policy.decide("key:ops", Act.GET, "x", API, ())
    for number in range(3 * MAX_DECISIONS_OF_CALLER):
        policy.decide("key:evil", Act.GET, "x", f"https://{number}/", ())
    assert remembered(policy)["key:ops"] == 1
    assert remembered(policy)["key:evil"] <= MAX_DECISIONS_OF_CALLER


def test_long_questions_are_answered_but_not_kept() -> None:
    """They would fill memory much faster than others."""
    assert rule_for("key:ops", Act.GET, "x", "https://" + "a" * 900) == "ops"
    policy = Policy([OPS])
    policy.decide("key:ops", Act.GET, "x", "a" * 1000, ())
    assert remembered(policy) == {"key:ops": 0}


def test_many_callers_are_forgotten_in_the_end() -> None:
    """Memory has a bound, however many identities a caller can get; and decisions stay right."""
    policy = Policy([OPS])
    for number in range(MAX_DECISIONS + 100):
        assert not policy.decide(f"key:{number}", Act.GET, "x", API, ()).allowed
    held = remembered(policy)
    assert len(held) + sum(held.values()) <= MAX_DECISIONS
    assert policy.decide("key:ops", Act.GET, "x", API, ()).allowed


def test_large_grants_are_remembered_within_the_same_bound() -> None:
    """They weigh more than other questions, for an issuer may grant a thousand scopes."""
    policy = Policy([OPS])
    granted = tuple(f"scope:{number}" for number in range(1000))
    for number in range(2000):
        assert policy.decide(f"key:{number}", Act.GET, "x", API, (), granted) == DENIED
    assert sum(remembered(policy).values()) * 1000 // 16 <= MAX_DECISIONS


SEVERAL = [
    Rule("a", ("*",), ("c",), ("https://a.example/*",)),
    Rule("b", ("*",), ("c",), ("https://b.example/",)),
]


@pytest.mark.parametrize(
    ("audience", "allowed"),
    [
        ("https://a.example/x", True),
        ("https://a.example/x https://b.example/", True),
        ("https://b.example/ https://a.example/x https://a.example/y", True),
        ("https://a.example/x https://c.example/", False),
        ("https://c.example/ https://a.example/x", False),
    ],
)
def test_each_of_several_audiences_must_be_allowed(audience: str, allowed: bool) -> None:
    """By whatever rules; where spaces separate them."""
    policy = Policy(SEVERAL, with_several=["c"])
    assert policy.decide("key:x", Act.GET, "c", audience, ()).allowed is allowed
    misses = policy.near_misses("key:x", Act.GET, "c", audience, ())
    assert any(not miss.audience for miss in misses) is allowed


def test_spaces_of_other_clients_are_part_of_the_name() -> None:
    """Two names that are allowed do not allow the name that is made of both."""
    policy = Policy([Rule("a", ("*",), ("c",), ("Orders", "API"))])
    assert not policy.decide("key:x", Act.GET, "c", "Orders API", ()).allowed
    assert Policy([Rule("a", ("*",), ("c",), ("Orders API",))]).decide("key:x", Act.GET, "c", "Orders API", ()).allowed
