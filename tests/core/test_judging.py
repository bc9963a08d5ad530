"""What a comparison of memory with the store leads to: pure, and the heart of revalidation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.common.clock import SystemClock
from mintonce_server.core.reconcile import Verdict, judge
from mintonce_server.core.token import Token
from support.samples import KEY, minted


def holding(generation: int, *, provisional: bool = False) -> Token | None:
    """A live token of this generation; None for 0."""
    if not generation:
        return None
    return Token.of(minted(SystemClock()), KEY, "hash", generation, 1, 0.0, provisional=provisional)


generations = st.integers(min_value=0, max_value=5)


@pytest.mark.parametrize(
    ("held", "rejected_through", "stored", "verdict"),
    [
        pytest.param(0, 0, 0, Verdict.NOTHING, id="no token anywhere"),
        pytest.param(5, 0, 5, Verdict.NOTHING, id="both have the same"),
        pytest.param(5, 4, 5, Verdict.NOTHING, id="both have the successor of what was rejected"),
        pytest.param(0, 4, 0, Verdict.NOTHING, id="rejected here, gone there"),
        pytest.param(0, 0, 5, Verdict.LOAD, id="only the store has one"),
        pytest.param(5, 0, 6, Verdict.LOAD, id="the fleet is ahead"),
        pytest.param(0, 4, 5, Verdict.LOAD, id="the fleet has the successor of what was rejected"),
        pytest.param(5, 0, 0, Verdict.RESTORE, id="the store lost it, or never got it"),
        pytest.param(5, 0, 4, Verdict.RESTORE, id="the store went back to an older one"),
        pytest.param(5, 4, 0, Verdict.RESTORE, id="the store lost what is newer than the rejected one"),
        pytest.param(0, 4, 4, Verdict.RAISE, id="the store lost the rejection"),
        pytest.param(0, 4, 3, Verdict.RAISE, id="the store went back to before what was rejected"),
        pytest.param(5, 4, 4, Verdict.RAISE, id="the store lost both the rejection and the successor"),
    ],
)
def test_what_is_to_be_done(held: int, rejected_through: int, stored: int, verdict: Verdict) -> None:
    """Generations: of the live token here, of the newest rejection known here, and the store's; 0 for none."""
    assert judge(holding(held), rejected_through, stored) is verdict


@pytest.mark.parametrize(
    ("rejected_through", "stored", "verdict"),
    [
        pytest.param(0, 0, Verdict.ADOPT, id="the store has none"),
        pytest.param(0, 4, Verdict.ADOPT, id="the fleet has another one with a lower number"),
        pytest.param(0, 6, Verdict.ADOPT, id="the fleet has another one with a higher number"),
        pytest.param(4, 4, Verdict.RAISE, id="the store has a rejected one"),
    ],
)
def test_what_was_minted_without_the_store_gets_a_number_first(
    rejected_through: int, stored: int, verdict: Verdict
) -> None:
    """Its provisional number says nothing about the store's."""
    assert judge(holding(5, provisional=True), rejected_through, stored) is verdict


@given(generations, generations, generations)
def test_what_is_rejected_is_neither_fetched_nor_given_back(held: int, rejected_through: int, stored: int) -> None:
    """Whatever else is so: memory holds nothing that it knows to be rejected."""
    held = held if held > rejected_through else 0
    verdict = judge(holding(held), rejected_through, stored)
    assert verdict is not Verdict.LOAD or stored > rejected_through
    assert verdict is not Verdict.RESTORE or held > max(rejected_through, stored)
    assert (verdict is Verdict.RAISE) == (0 < stored <= rejected_through)
