"""The short form of `make simulate`, and that the simulator can be trusted: same seed, same run; failures shrink."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mutants.mutant import Mutant
from simulate.campaign import Kinds, run_seeds
from simulate.kinds import KINDS
from simulate.mutants import MUTANTS
from simulate.planning import plan_of
from simulate.shrink import Shrinker

from mintonce_server.core.ports import Refusal
from mintonce_server.store.memory_server import MemoryServer

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join(str(ROOT / folder) for folder in ("tests", "verification"))
DIGESTS = "from simulate import fleet, planning; print([fleet.simulate(planning.plan_of(n)).digest for n in range(6)])"


def test_no_law_is_broken() -> None:
    """Whatever breaks and whatever callers send, in the first plans."""
    tally = run_seeds(range(30), Kinds())
    assert tally.failures == []
    assert tally.posts > 100


def test_a_seed_gives_the_same_run_in_every_process() -> None:
    """To the last step and the last byte of its trace, whatever order sets of strings have there."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS],
            env=os.environ | {"PYTHONPATH": PATH, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0].split(","))) == 6


def test_a_failure_is_shrunk_to_a_handful_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that lets every commit in breaks a law, and few events are needed to see it."""
    commit = MemoryServer.commit

    def blind(server: MemoryServer, name: str, *args: object, **options: object) -> int | Refusal:
        entry = server.entries.get(name)
        if entry is not None:
            entry.meta.bar = 0
        return commit(server, name, *args, **options)  # type: ignore[arg-type] # as it was called

    monkeypatch.setattr(MemoryServer, "commit", blind)
    failures = run_seeds(range(100), Kinds(frozenset({"reject", "reject often", "watch"})), stop=True).failures
    seed, laws = failures[0].seed, failures[0].laws
    plan = plan_of(seed, frozenset({"reject", "reject often", "watch"}))
    law = next(iter(laws))
    shrunk = Shrinker(plan, law, runs=150).shrink()
    assert len(shrunk.events) <= 8 < len(plan.events)


def test_every_kind_of_trouble_is_drawn() -> None:
    """A kind that no plan has tests nothing."""
    names = {type(event).__name__ for seed in range(200) for event in plan_of(seed).events}
    assert len(names) >= 18
    assert len(KINDS) >= 25


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_mutants_are_of_the_product_as_it_is(mutant: Mutant) -> None:
    """`make simulate ARGS="--mutants"` hunts them; here only that their texts are still there."""
    compile(mutant.mutated(), mutant.file, "exec")
