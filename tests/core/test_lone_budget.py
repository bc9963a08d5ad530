"""In an outage of the store no caller keeps the others from a mint."""

import pytest

from mintonce_server.core.caller import ANONYMOUS
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.outage import BURST, OutageBudget
from support.samples import KEY
from support.troubled_store import ALL
from support.workbench import Workbench


def taken(budget: OutageBudget, caller: str, now: float, tries: int = 100) -> int:
    """How many of so many tries were granted."""
    return sum(budget.take(caller, now) for _ in range(tries))


def test_one_caller_has_half_at_once_and_then_one_a_second() -> None:
    """The other half waits for those who come later."""
    budget = OutageBudget(0.0)

    assert taken(budget, "key:a", 0.0) == BURST // 2
    assert sum(taken(budget, "key:a", float(second)) for second in range(1, 61)) == 60


def test_who_asks_for_little_is_served_whatever_another_takes() -> None:
    """Each second one of them asks for as much as it can, and then the other one once."""
    budget = OutageBudget(0.0)
    for second in range(0, 60, 10):
        taken(budget, "key:greedy", float(second))
        assert budget.take("key:modest", float(second))


def test_all_callers_together_have_the_whole() -> None:
    """However many there are."""
    budget = OutageBudget(0.0)

    assert sum(taken(budget, f"key:{number}", 0.0) for number in range(1000)) == BURST
    assert sum(taken(budget, f"key:{number}", 10.0) for number in range(1000)) == 10


def test_callers_without_a_name_have_it_all() -> None:
    """There is no other caller to keep anything for."""
    assert taken(OutageBudget(0.0), ANONYMOUS.name, 0.0) == BURST


async def test_a_caller_that_gets_no_lone_mint_learns_why() -> None:
    """The store is away is half of it: the other half is that this replica mints no more for now."""
    bench = Workbench()
    bench.store.down = ALL
    for number in range(BURST):
        await bench.get(TokenKey.of(KEY.client, f"https://api-{number}.example.com/"))
    with pytest.raises(StoreUnavailable) as refusal:
        await bench.get()
    assert bench.issuer.mints == BURST
    assert "used up" in str(refusal.value)
    assert refusal.value.retry_after == 1.0
