"""H11, H15 about a run as a whole, and H17 about callers and their rules, on made-up histories."""

import pytest
from history.checker import Count, Right, check
from history.tale import API, Made, Tale

READ, WRITE = "orders:read", "orders:write"


def shared() -> tuple[Tale, Made]:
    """A token that replica a minted and serves."""
    tale = Tale()
    made = tale.mint("a", at=0.0)
    tale.get("a", made, at=1.0)
    return tale, made


def test_h11_what_a_run_leaves_behind() -> None:
    """A key that lives for ever, and descriptors that stay open."""
    tale, _ = shared()
    tale.history.keys_without_ttl.append("mintonce:{x}:l")
    tale.history.counts.append(Count("descriptors of a", 40, 55, allowed=4))
    assert [violation.rule for violation in check(tale.history)] == ["H11", "H11"]


def test_h11_a_few_more_may_be_allowed() -> None:
    """Connections come and go."""
    tale, _ = shared()
    tale.history.counts += [Count("descriptors of a", 40, 43, allowed=4), Count("tasks of a", 12, 9)]
    assert check(tale.history) == []


def test_h15_a_replica_that_ended_by_itself() -> None:
    """No fault excuses it: a store that fails over, for one, must end no process."""
    tale, _ = shared()
    tale.fault("failover", 1.5, 3.0, "redis-1", lossy=True, outage=True)
    tale.end(2.0, "b")
    assert tale.broken() == ["H15"]


def test_h15_a_replica_that_was_killed_is_a_fault_and_no_end() -> None:
    """The run did it, with a signal."""
    tale, _ = shared()
    tale.fault("kill", 2.0, 3.0, "b", crash=True)
    assert check(tale.history) == []


@pytest.mark.parametrize("granted", [(), (READ,)])
def test_h17_what_the_rule_names_or_less_may_be_handed_out(granted: tuple[str, ...]) -> None:
    """Measured on the token itself."""
    tale, made = shared()
    tale.history.calls.clear()
    tale.history.rights = [Right("key:cart", API, frozenset({READ}))]
    tale.get("a", made, at=2.0, caller="key:cart", granted=granted)
    assert check(tale.history) == []


@pytest.mark.parametrize("caller", ["key:cart", "key:other", ""])
def test_h17_what_no_rule_of_the_caller_names(caller: str) -> None:
    """A scope too many; a caller without a rule; a caller without a name."""
    tale, made = shared()
    tale.history.calls.clear()
    tale.history.rights = [Right("key:cart", API, frozenset({READ}))]
    tale.get("a", made, at=2.0, caller=caller, granted=(READ, WRITE))
    assert tale.broken() == ["H17"]


def test_h17_two_rules_are_not_added_up() -> None:
    """A token with both scopes needs one rule that names both."""
    tale, made = shared()
    tale.history.calls.clear()
    tale.history.rights = [Right("key:cart", API, frozenset({scope})) for scope in (READ, WRITE)]
    tale.get("a", made, at=2.0, caller="key:cart", granted=(READ, WRITE))
    assert tale.broken() == ["H17"]


def test_h17_a_right_to_another_audience_is_none() -> None:
    """The audience counts too."""
    tale, made = shared()
    tale.history.calls.clear()
    tale.history.rights = [Right("key:cart", "https://other/", frozenset({READ}))]
    tale.get("a", made, at=2.0, caller="key:cart", granted=(READ,))
    assert tale.broken() == ["H17"]


def test_h17_a_run_without_a_policy_promises_nothing() -> None:
    """On loopback everybody may have everything."""
    tale, made = shared()
    tale.get("a", made, at=2.0, granted=(READ, WRITE))
    assert check(tale.history) == []
