"""Checks what a run wrote down against the promises H1 to H11 (docs/guarantees.md)."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from support import history_rules_calls as calls
from support import history_rules_mints as mints
from support import history_rules_rejects as rejects
from support.history_figures import Extra, Figures, Spread, figures
from support.history_logs import names_of, read_posts, read_steps
from support.history_records import (
    Bounds,
    Call,
    Count,
    Fault,
    History,
    Post,
    Step,
    Violation,
)
from support.history_story import Mint, Story, stories

__all__ = [
    "Bounds",
    "Call",
    "Count",
    "Extra",
    "Fault",
    "Figures",
    "History",
    "Mint",
    "Post",
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


RULES: Final[tuple[Callable[[Story], Iterable[Violation]], ...]] = (
    mints.fault_free,
    mints.mint_law,
    mints.one_post_a_generation,
    mints.commits_rise,
    mints.answers_rise,
    calls.right_token,
    calls.no_dead_token,
    rejects.rejected_stays_away,
    rejects.rejected_text_stays_away,
    rejects.duplicates_cost_one,
    rejects.rejections_are_spaced,
    mints.back_off,
    calls.ends_in_time,
    calls.wakes_in_time,
    calls.says_why,
    calls.heals,
)
"""Each looks at one key. H11 is about the run as a whole."""


def check(history: History) -> list[Violation]:
    """What was promised and not kept, in order of the keys and rules. Empty: all was kept."""
    found = [violation for story in stories(history) for rule in RULES for violation in rule(story)]
    return [*found, *nothing_left(history)]


def nothing_left(history: History) -> Iterator[Violation]:
    """H11: every key in the store has a TTL; what was counted before the run is back to that after it."""
    for key in history.keys_without_ttl:
        yield Violation("H11", f"{key} has no TTL")
    for count in history.counts:
        if count.after > count.before + count.allowed:
            yield Violation("H11", f"{count.what}: {count.before} before the run, {count.after} after it")
