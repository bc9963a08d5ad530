"""The law of mints itself: which POST it allows, and which it does not."""

import random
from contextlib import closing

import pytest
from simulate import faults, product
from simulate.acts import Get
from simulate.fleet import Plan, simulate
from simulate.issuer import Issuer, Mode
from simulate.ledger import Ledger
from simulate.loop import SimulatedLoop
from simulate.state import NodeState, World

from mintonce_server.core.secret import Secret
from mintonce_server.core.token import Minted

KEY = product.key_for(0)


@pytest.mark.parametrize(("stopped", "laws"), [(True, []), (False, ["mint law"])])
def test_a_commit_after_the_lease_was_lost_allows_the_next_holders_post(stopped: bool, laws: list[str]) -> None:
    """Its poster was stopped past its lease. The next holder has its lease already, and cannot know of the token."""
    loop = SimulatedLoop(random.Random(0), 10)
    with closing(loop):
        issuer = Issuer(loop, random.Random(0), lifetimes={KEY: 30.0})
        first, second = NodeState(0), NodeState(1)
        world = World(loop, issuer, [first, second])
        ledger = Ledger(world)
        loop.now = 1.0
        entry = ledger.post(first, KEY, (1, 1.0))
        loop.now = 5.0
        issuer.answer(KEY)
        if stopped:
            first.resumed_at = 5.0
        (text,) = issuer.issued
        ledger.ended(entry, Minted(Secret(text), "Bearer", 30.0, 1.0, ()), None)
        loop.now = 5.1
        world.stored[KEY], world.first_stored[text] = text, 5.1
        loop.now = 5.2
        ledger.post(second, KEY, (2, 5.0))
    assert [broken.law for broken in world.laws_broken] == laws


def test_all_is_mended_only_when_a_replica_that_leaves_is_back() -> None:
    """It takes its time to leave, because the issuer does. Asked meanwhile, it would never answer."""
    plan = Plan(
        1,
        nodes=1,
        seconds=3.0,
        events=(
            faults.Issuing(0.0, Mode.HANGS, 1.9),
            Get(0.1, 0, 0),
            faults.Kill(1.5, 0, 0.0, gently=True),
        ),
    )
    assert simulate(plan).broken == ()
