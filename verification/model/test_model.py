"""Every state of a small fleet, within budgets of faults: no law is broken, and each law is needed."""

import pytest
from model import laws
from model.mutant import Mutant
from model.mutants_of_numbers import NUMBERS
from model.mutants_of_replicas import REPLICAS
from model.mutants_of_scripts import H14, MORE
from model.search import search
from model.world import Budgets

# What goes wrong together. Two replicas show what two can do to each other; the third is for who looks on.
MIXES = {
    "nothing": (3, Budgets()),
    "crash, stall, reject, lost reply": (2, Budgets(crashes=1, stalls=1, rejects=1, lost_replies=1)),
    "crash, reject, lost reply": (3, Budgets(crashes=1, rejects=1, lost_replies=1)),
    "crash, stall, reject, failure": (2, Budgets(crashes=1, stalls=1, rejects=1, failures=1)),
    "crash, reject, failure": (3, Budgets(crashes=1, rejects=1, failures=1)),
    "two stalls, two crashes": (3, Budgets(crashes=2, stalls=2)),
    "loss, write-back": (3, Budgets(losses=1, stalls=1, crashes=1, write_backs=1)),
    "loss, write-back, reject": (2, Budgets(losses=1, stalls=1, rejects=1, write_backs=2)),
    "loss in a back-off": (2, Budgets(losses=1, failures=1, outages=1, stalls=1, write_backs=1)),
    "failover, reject": (3, Budgets(failovers=1, rejects=1)),
    "failover, reject, stall": (2, Budgets(failovers=1, stalls=1, rejects=1)),
    "failover, reject, write-back": (2, Budgets(failovers=1, stalls=1, rejects=1, write_backs=1)),
    "failover, failures": (2, Budgets(failovers=1, failures=1, stalls=1, lost_replies=1)),
    "two failovers, stall": (2, Budgets(failovers=2, stalls=1, crashes=1)),
    "two failovers, reject": (2, Budgets(failovers=2, rejects=1, crashes=1)),
    "failover, same text again": (2, Budgets(failovers=1, rejects=1, repeats=1)),
    "same text again": (2, Budgets(rejects=2, repeats=1, failures=1)),
    "new secret": (3, Budgets(rotations=2, failures=1, crashes=1)),
    "new secret, and its first holder dies": (5, Budgets(rotations=1, crashes=1)),
    "new secret, loss, write-back": (2, Budgets(rotations=1, losses=1, write_backs=1, rejects=1)),
    "alone": (2, Budgets(alone=2, rejects=1, crashes=1)),
    "alone, lost reply": (2, Budgets(alone=1, rejects=1, crashes=1, lost_replies=1)),
    "alone, failure, same text": (2, Budgets(alone=1, failures=1, rejects=1, repeats=1)),
    "alone, loss, write-back": (2, Budgets(alone=2, losses=1, write_backs=1)),
    "alone, loss, reject": (2, Budgets(alone=1, losses=1, rejects=1, write_backs=1)),
    "alone, failover, reject": (2, Budgets(alone=1, failovers=1, rejects=1)),
    "alone, its token ends": (2, Budgets(alone=1, expiries=2)),
    "alone, its token ends, reject": (2, Budgets(alone=1, expiries=1, rejects=1)),
    "alone, new secret": (2, Budgets(alone=1, rotations=1, rejects=1)),
    "refresh, reject": (3, Budgets(refreshes=1, rejects=1, crashes=1)),
    "refresh, failure, reject": (2, Budgets(refreshes=1, failures=1, rejects=1)),
    "refresh, live text again": (2, Budgets(refreshes=1, repeats=1, rejects=1, expiries=1)),
    "clock behind, reject": (3, Budgets(clocks=1, rejects=1, write_backs=1)),
    "clock behind, two rejects": (2, Budgets(clocks=1, rejects=2)),
    "clock behind, alone": (2, Budgets(clocks=1, rejects=1, alone=1)),
    "expiry": (2, Budgets(expiries=1, stalls=1, crashes=1, rejects=1, write_backs=1)),
}


SLOW = (
    "crash, stall, reject, failure",
    "loss, write-back, reject",
    "failover, reject, write-back",
    "failover, failures",
    "new secret, loss, write-back",
    "alone, failure, same text",
    "alone, loss, reject",
    "alone, new secret",
    "clock behind, two rejects",
    "clock behind, alone",
    "expiry",
)
"""More states than the others."""


@pytest.mark.parametrize("mix", [pytest.param(mix, marks=pytest.mark.slow if mix in SLOW else ()) for mix in MIXES])
def test_no_law_is_broken(mix: str) -> None:
    """Whatever happens in whatever order: see laws.py for what holds, search.py for how to read a counterexample."""
    replicas, budgets = MIXES[mix]
    report = search(budgets, replicas)
    assert not report.law, report.trace


def test_without_faults_there_is_one_post() -> None:
    """And every order in which three replicas may come was tried."""
    report = search(Budgets(), replicas=3)
    assert report.most_posts == 1
    assert report.states > 5


@pytest.mark.parametrize("mutant", [*H14, *MORE, *NUMBERS, *REPLICAS], ids=lambda mutant: mutant.name)
def test_a_mutant_breaks_its_law(mutant: Mutant) -> None:
    """Each case of the scripts is there for a reason, and the search would notice if it went."""
    report = mutant.run()
    assert report.law == mutant.law, report.trace


def test_a_counterexample_is_as_short_as_can_be() -> None:
    """It names the law, then says step by step how to get there."""
    report = next(mutant for mutant in MORE if mutant.name == "a barrier at the rejected generation only").run()
    assert report.trace.startswith(laws.REJECTED)
    assert "a caller REJECTs" in report.trace
    assert len(report.trace.splitlines()) < 50
