"""H1, H2, H3, H8 on made-up histories: what must be reported, and what is legal though it looks alike."""

from history.checker import check
from history.tale import Tale


def test_a_fleet_that_shares_one_token_has_kept_everything() -> None:
    """One mint, everybody gets it, a successor comes in time."""
    tale = Tale()
    first = tale.mint("a", at=0.0)
    tale.get("a", first, at=0.0, took=0.22, origin="MINT")
    tale.get("b", first, at=0.1, took=0.15, origin="STORE")
    second = tale.mint("c", at=92.0)
    tale.get("b", first, at=92.1)
    tale.get("b", second, at=92.5)
    assert check(tale.history) == []


def test_an_empty_history_breaks_nothing() -> None:
    """Nothing happened."""
    assert check(Tale().history) == []


def test_h1_a_second_post_without_any_fault() -> None:
    """Two replicas minted at once and nothing had gone wrong."""
    tale = Tale()
    tale.get("a", tale.mint("a", at=0.0), at=1.0)
    tale.post(0.05, "stray")
    assert tale.broken() == ["H1", "H2"]


def test_h1_a_generation_without_a_post() -> None:
    """A generation was made up."""
    tale = Tale()
    first = tale.mint("a", at=0.0)
    tale.get("a", first, at=1.0)
    tale.step(2.0, "b", "committed", first.generation + 5)
    assert tale.broken() == ["H1"]


def test_h1_a_mint_that_a_rejection_overtook_is_no_waste() -> None:
    """The commit of the mint in flight was refused, and one more was needed."""
    tale = Tale()
    first = tale.mint("a", at=0.0)
    tale.refused("a", at=92.0)
    tale.reject("b", first, at=92.1)
    tale.get("a", tale.mint("a", at=92.3), at=93.0)
    assert check(tale.history) == []


def test_h1_a_rejection_whose_answer_was_lost_may_have_taken_effect() -> None:
    """It overtook a mint just as well."""
    tale = Tale()
    first = tale.mint("a", at=0.0)
    tale.refused("a", at=92.0)
    tale.reject("b", first, at=92.1, status="UNAVAILABLE")
    tale.get("a", tale.mint("a", at=92.3), at=93.0)
    assert check(tale.history) == []


def test_h1_leaves_histories_with_faults_to_the_mint_law() -> None:
    """A holder was killed between POST and commit: one extra."""
    tale = Tale()
    tale.started("a", at=0.0)
    tale.fault("kill", 0.1, 2.0, "a", crash=True)
    tale.get("b", tale.mint("b", at=3.1), at=4.0)
    assert check(tale.history) == []


def test_h2_one_crash_explains_one_post_only() -> None:
    """Two strays after one kill."""
    tale = Tale()
    tale.started("a", at=0.0)
    tale.post(0.02, "stray")
    tale.fault("kill", 0.1, 2.0, "a", crash=True)
    tale.get("b", tale.mint("b", at=3.1), at=4.0)
    assert tale.broken() == ["H2"]


def test_h2_a_crash_of_a_replica_that_was_not_minting_explains_nothing() -> None:
    """The stray is not the killed replica's."""
    tale = Tale()
    tale.get("a", tale.mint("a", at=0.0), at=1.0)
    tale.post(5.0, "stray")
    tale.fault("kill", 5.0, 6.0, "c", crash=True)
    assert tale.broken() == ["H2"]


def test_h2_a_stall_in_a_mint_explains_its_successor() -> None:
    """The holder slept past its lease, another minted, the late commit was refused."""
    tale = Tale()
    tale.refused("a", at=0.0, why="STALE", took=6.0)
    tale.fault("stop", 0.1, 5.0, "a", stall=True)
    tale.get("b", tale.mint("b", at=3.2), at=4.0)
    assert check(tale.history) == []


def test_h2_a_stall_after_the_mint_explains_nothing() -> None:
    """The replica was stopped when its mint had long been committed."""
    tale = Tale()
    tale.get("b", tale.mint("a", at=0.0), at=1.0)
    tale.fault("stop", 8.0, 12.0, "a", stall=True)
    tale.post(9.0, "stray")
    assert tale.broken() == ["H2"]


def test_h2_a_failed_mint_and_its_answerless_post_are_one() -> None:
    """The 503 explains its own POST, and no other one."""
    tale = Tale()
    tale.failed("a", at=0.0, retry_after=1.0)
    tale.get("a", tale.mint("a", at=1.3), at=2.0)
    assert check(tale.history) == []
    tale.post(1.4, "stray")
    assert tale.broken() == ["H2"]


def test_h2_a_token_that_came_too_late_is_a_failed_mint() -> None:
    """The issuer's log names a token, but the replica had given up."""
    tale = Tale()
    made = tale.started("a", at=0.0)
    tale.step(10.0, "a", "mint_failed", made.generation, retry_after=1.0)
    tale.get("a", tale.mint("a", at=11.1), at=12.0)
    assert check(tale.history) == []


def test_h2_a_failover_that_lost_writes_explains_two() -> None:
    """No more than two."""
    tale = Tale()
    tale.get("a", tale.mint("a", at=0.0), at=0.5)
    tale.fault("failover", 1.0, 2.0, "redis-1", lossy=True)
    for extra in range(2):
        tale.post(1.0 + extra / 10, f"extra-{extra}")
    assert check(tale.history) == []
    tale.post(1.5, "one more")
    assert tale.broken() == ["H2"]


def test_h2_replicas_that_are_cut_off_mint_once_each() -> None:
    """Three replicas and a store out of reach: three extra, not four."""
    tale = Tale()
    tale.get("a", tale.mint("a", at=0.0), at=0.5)
    tale.fault("redis killed", 1.0, 2.0, outage=True)
    for extra in range(3):
        tale.post(1.0 + extra / 10, f"extra-{extra}")
    assert check(tale.history) == []
    tale.post(1.5, "one more")
    assert tale.broken() == ["H2"]


def test_h2_counts_each_key_by_itself() -> None:
    """A fault-free surplus of one key is not paid for by another key's generations."""
    one = Tale("https://one/")
    other = Tale("https://other/", one.history)
    other.get("a", other.mint("a", at=0.0), at=1.0)
    other.mint("a", at=92.0)
    one.post(0.0, "stray")
    assert [violation.detail.split(":")[1] for violation in check(one.history)] == ["//one/", "//one/"]


def test_h3_a_generation_that_was_minted_twice() -> None:
    """Two replicas began the same generation."""
    tale = Tale()
    made = tale.mint("a", at=0.0)
    tale.step(0.1, "b", "mint_started", made.generation)
    tale.get("a", made, at=1.0)
    assert tale.broken() == ["H3"]


def test_h3_one_generation_with_two_tokens() -> None:
    """Callers hold different tokens under the same number."""
    tale = Tale()
    tale.fault("redis killed", 0.0, 1.0, outage=True)
    one, two = tale.started("a", at=0.0), tale.started("b", at=0.1, generation=7)
    tale.get("a", one, at=1.0)
    tale.get("b", two, at=1.0, generation=one.generation)
    assert tale.broken() == ["H3"]


def test_h3_a_commit_that_goes_back() -> None:
    """A lower generation was committed, surely after the higher one."""
    tale = Tale()
    tale.get("a", tale.mint("a", at=5.0), at=5.5)
    tale.get("b", tale.mint("b", at=6.0, generation=4000), at=6.5)
    assert tale.broken() == ["H3"]


def test_h3_logs_that_are_written_late_prove_nothing() -> None:
    """The lower one was logged later, but may have been committed earlier."""
    tale = Tale()
    low = tale.minted("a", at=5.0)
    high = tale.mint("b", at=5.1)
    tale.step(9.0, "a", "committed", low.generation)
    tale.get("c", low, at=5.2)
    tale.get("c", high, at=5.4)
    assert check(tale.history) == []


def test_h3_commits_may_go_back_when_writes_were_lost() -> None:
    """The failover forgot the higher one."""
    tale = Tale()
    tale.get("a", tale.mint("a", at=5.0), at=5.5)
    tale.fault("failover", 5.5, 5.8, lossy=True)
    tale.get("b", tale.mint("b", at=6.0, generation=4000), at=6.5)
    assert check(tale.history) == []


def test_h3_a_replica_that_goes_back() -> None:
    """It had given the newer one before."""
    tale = Tale()
    old, new = tale.mint("a", at=0.0), tale.mint("a", at=92.0)
    tale.get("b", old, at=92.1)
    tale.get("b", new, at=92.3)
    tale.get("b", old, at=92.4)
    assert tale.broken() == ["H3"]


def test_h3_calls_at_the_same_time_may_differ() -> None:
    """The one with the older token began before the newer was given to anybody; another replica may lag."""
    tale = Tale()
    old, new = tale.mint("a", at=0.0), tale.mint("a", at=92.0)
    tale.get("b", new, at=92.3)
    tale.get("b", old, at=92.2, took=0.5)
    tale.get("c", old, at=92.9)
    assert check(tale.history) == []


def test_h8_a_post_inside_the_back_off() -> None:
    """Another replica did not heed it; neither did the same one."""
    tale = Tale()
    tale.failed("a", at=0.0, retry_after=5.0)
    tale.get("b", tale.mint("b", at=4.0), at=4.5)
    assert tale.broken() == ["H8"]
    same = Tale()
    same.failed("a", at=0.0, retry_after=5.0)
    same.failed("a", at=1.0, retry_after=5.0)
    assert same.broken() == ["H8"]


def test_h8_a_post_after_the_back_off() -> None:
    """Patience."""
    tale = Tale()
    tale.failed("a", at=0.0, retry_after=5.0)
    tale.get("b", tale.mint("b", at=5.2), at=5.5)
    assert check(tale.history) == []


def test_h8_a_replica_that_is_cut_off_cannot_know() -> None:
    """The store was out of reach."""
    tale = Tale()
    tale.failed("a", at=0.0, retry_after=5.0)
    tale.fault("cut off", 0.1, 3.0, "b", outage=True)
    tale.get("b", tale.mint("b", at=2.0), at=4.5)
    assert check(tale.history) == []


def test_h8_what_was_in_flight_is_not_called_back() -> None:
    """Another mint had begun before this one failed, and its commit ends the back-off."""
    tale = Tale()
    tale.fault("stop", 0.0, 3.0, "b", stall=True)
    tale.step(0.0, "b", "mint_started", 1)
    tale.failed("a", at=0.0, retry_after=5.0)
    tale.post(3.0, "late")
    tale.step(3.3, "b", "committed", 1)
    tale.get("b", tale.mint("c", at=4.0), at=5.0)
    assert check(tale.history) == []


def test_h8_new_credentials_need_not_wait() -> None:
    """The back-off was the old secret's."""
    tale = Tale()
    tale.failed("a", at=0.0, retry_after=30.0)
    tale.fault("new secret", 1.0, 1.0, new_secret=True)
    tale.get("b", tale.mint("b", at=2.0), at=3.0)
    assert check(tale.history) == []
