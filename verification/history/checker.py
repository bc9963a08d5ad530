"""Checks what a run wrote down against the promises H1 to H11 and H15 to H17 (docs/guarantees.md)."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from history import rules_calls as calls
from history import rules_mints as mints
from history import rules_rejects as rejects
from history.figures import Extra, Figures, Spread, figures
from history.logs import names_of, read_posts, read_steps
from history.records import (
    Bounds,
    Call,
    Count,
    End,
    Fault,
    History,
    Post,
    Right,
    Step,
    Violation,
)
from history.story import Mint, Story, stories

__all__ = [
    "Bounds",
    "Call",
    "Count",
    "End",
    "Extra",
    "Fault",
    "Figures",
    "History",
    "Mint",
    "Post",
    "Right",
    "Spread",
    "Step",
    "Story",
    "Violation",
    "check",
    "figures",
    "names_of",
    "read_posts",
    "read_steps",
    "stories",
]


def nothing_left(history: History) -> Iterator[Violation]:
    """H11: every key in the store has a TTL; what was counted before the run is back to that after it."""
    for key in history.keys_without_ttl:
        yield Violation("H11", f"{key} has no TTL")
    for count in history.counts:
        if count.after > count.before + count.allowed:
            yield Violation("H11", f"{count.what}: {count.before} before the run, {count.after} after it")


def none_ended(history: History) -> Iterator[Violation]:
    """H15: no input from a caller, the store, the wake channel, an issuer or a key server ends a process.

    Only the run itself does, with a signal. Whatever else happened to a replica, it was there afterwards.
    """
    for end in history.ends:
        yield Violation("H15", f"{end.replica} ended by itself at {end.time:.3f} ({end.how})")


RULES: Final[tuple[Callable[[Story], Iterable[Violation]], ...]] = (
    mints.fault_free,
    mints.mint_law,
    mints.one_post_a_generation,
    mints.one_number_a_token,
    mints.commits_rise,
    mints.answers_rise,
    calls.right_token,
    calls.no_dead_token,
    calls.within_the_rule,
    rejects.rejected_stays_away,
    rejects.rejected_text_comes_back_marked,
    rejects.duplicates_cost_one,
    rejects.rejections_are_spaced,
    rejects.one_post_an_interval,
    mints.back_off,
    mints.repeated_token_waits,
    calls.ends_in_time,
    calls.wakes_in_time,
    calls.says_why,
    calls.heals,
)
"""Each looks at one key."""

RUN_RULES: Final[tuple[Callable[[History], Iterable[Violation]], ...]] = (nothing_left, none_ended)
"""Each looks at the run as a whole."""


def check(history: History) -> list[Violation]:
    """What was promised and not kept, in order of the keys and rules. Empty: all was kept."""
    found = [violation for story in stories(history) for rule in RULES for violation in rule(story)]
    return [*found, *(violation for rule in RUN_RULES for violation in rule(history))]
