"""The soak program itself: a short run, and that each of its own laws is seen when it is broken."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from history.checker import Call, Fault, History, Post
from soak import laws
from soak.caller import NEVER_ENDED, UNTYPED
from soak.fleet import WITNESS, Ended, Fleet
from soak.gauges import Flatness, Sample, flatness
from soak.keys import SHORT, UNTOUCHED
from soak.report import render
from soak.run import soak
from soak.troubles import TRACKS, issuer_stopped, replica_killed, store_read_only

GOOD = Call("get", WITNESS, UNTOUCHED, 1.0, 1.1, 2.0, "OK", generation=1, jti="one", aud=UNTOUCHED, expires_at=7200.0)
REFUSED = replace(GOOD, began=2.0, ended=2.1, status="UNAVAILABLE", reason="STORE_UNAVAILABLE", jti="")
FIRST = Post(0.9, UNTOUCHED, 200, "one")
FLAT = [Flatness("descriptors", 20.0, 20.0, 26.0)]


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_short_soak_runs_to_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real replicas, client processes, and a trouble on each track; every law is judged."""
    few = {"replicas": (replica_killed,), "store": (store_read_only,), "issuer": (issuer_stopped,)}
    for track, acts in few.items():
        monkeypatch.setitem(cast("dict[str, object]", TRACKS), track, acts)
    monkeypatch.setattr("soak.troubles.PAUSE", (0.5, 1.5))
    monkeypatch.setattr("soak.troubles.LASTS", (0.5, 1.0))
    monkeypatch.setattr("soak.run.PROCESSES", 1)
    monkeypatch.setattr("soak.run.AFTERWARDS", 0.5)
    found = await soak(minutes=0.1, seed=1, directory=tmp_path)
    assert found.kept, render(found, "a test")
    assert found.calls["get OK"] > 50
    assert found.troubles.keys() >= {"replica killed", "store read-only"}
    assert {taken.replica for taken in found.samples} == {"r0", "r1", "r2"}
    assert "| no replica ends | no |" in render(found, "a test")


def judged(
    history: History,
    *,
    unreal: tuple[Call, ...] = (),
    ended: tuple[Ended, ...] = (),
    flat: list[Flatness] = FLAT,
    recovery: float | None = 1.0,
) -> list[str]:
    """The laws that were broken."""
    fleet = cast(Fleet, type("Stood", (), {"ended": list(ended)}))
    found = laws.broken(fleet, laws.Told(history.calls, list(unreal)), history, flat, recovery)
    return [law for law, broken in found.items() if broken]


def history(*calls: Call, posts: tuple[Post, ...] = (FIRST,), faults: tuple[Fault, ...] = ()) -> History:
    return History(list(posts), list(calls), faults=list(faults), replicas=("r0", "r1", "r2"))


def test_a_good_run_breaks_no_law() -> None:
    """Else the others here would prove nothing."""
    assert judged(history(GOOD)) == []


UNREAL = replace(GOOD, op="reject", jti="", generation=2**62)
BREACHES: dict[str, Callable[[], list[str]]] = {
    "no wrong token": lambda: judged(history(replace(GOOD, aud=SHORT[0]))),
    "no token past its end": lambda: judged(history(GOOD, replace(GOOD, began=7205.0, ended=7205.1))),
    "calls end by their deadline": lambda: judged(history(replace(GOOD, ended=9.0))),
    "failed calls say why": lambda: judged(history(replace(REFUSED, replica="r1", reason=""))),
    "no replica ends": lambda: judged(history(GOOD), ended=(Ended(5.0, "r1", 1, "a traceback"),)),
    "calls end with an error of the client": lambda: judged(
        history(GOOD, replace(REFUSED, replica="r1", status=UNTYPED, reason="ValueError"))
    ),
    "a generation that never was is not rejected": lambda: judged(
        history(GOOD), unreal=(replace(UNREAL, was_current=True),)
    ),
    "such rejections cost no POST": lambda: judged(history(GOOD, posts=(FIRST, Post(5.0, UNTOUCHED, 200, "two")))),
    "a live token in memory is served": lambda: judged(history(GOOD, replace(REFUSED, retry_after=1.0))),
    "nothing grows": lambda: judged(history(GOOD), flat=[Flatness("descriptors", 20.0, 27.0, 26.0)]),
    "all recovers": lambda: judged(history(GOOD), recovery=None),
}


@pytest.mark.parametrize("law", BREACHES)
def test_a_breach_is_seen(law: str) -> None:
    """By its own law."""
    assert BREACHES[law]() == [law]


def test_a_call_that_never_ends_is_seen() -> None:
    """By two laws: it is late, and no error came."""
    assert "calls end with an error of the client" in judged(history(GOOD, replace(REFUSED, status=NEVER_ENDED)))


def test_what_a_stopped_or_restarted_replica_does_is_no_breach() -> None:
    """It cannot answer while it is stopped, and may mint once more after it was killed."""
    stop = Fault("replica stopped", 1.5, 2.5, WITNESS, stall=True)
    assert judged(history(GOOD, replace(REFUSED, retry_after=1.0), faults=(stop,))) == []
    kill = Fault("replica killed", 4.0, 5.0, "r1", crash=True)
    assert judged(history(GOOD, posts=(FIRST, Post(5.0, UNTOUCHED, 200, "two")), faults=(kill,))) == []


def test_a_busy_machine_is_no_breach(tmp_path: Path) -> None:
    """A call that got no answer while its replica's event loop stood still is left out; one later is not."""
    silent = replace(REFUSED, status="DEADLINE_EXCEEDED", reason="", began=2.0, ended=4.0)
    member = type("Member", (), {"name": WITNESS})
    fleet = cast(Fleet, type("Stood", (), {"directory": tmp_path, "members": [member]}))
    (tmp_path / "r0.late").write_text("3.9 4.3\n")
    told = laws.excuse(fleet, laws.Told([silent, replace(silent, ended=9.0)]))
    assert (told.calls, told.excused) == ([replace(silent, ended=9.0)], 1)


def test_growth_is_the_second_half_against_the_first() -> None:
    """After the warm-up; of memory, descriptors, threads and tasks."""
    grown = [Sample(float(n), WITNESS, 1, (100 + n) << 20, 20 + n // 5, 8, 10) for n in range(100)]
    assert {one.what for one in flatness(grown, WITNESS) if not one.flat} == {"resident memory", "descriptors"}
    assert all(one.flat for one in flatness([replace(one, rss=1, descriptors=1) for one in grown], WITNESS))
    assert flatness(grown, "r1") == []
