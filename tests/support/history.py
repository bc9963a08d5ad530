"""Checks what a run wrote down against the promises H1 to H11 and H15 to H17 (docs/guarantees.md)."""

from collections.abc import Callable, Iterable
from typing import Final

from support import history_rules_calls as calls
from support import history_rules_mints as mints
from support import history_rules_rejects as rejects
from support import history_rules_run as run
from support.history_figures import Extra, Figures, Spread, figures
from support.history_logs import names_of, read_posts, read_steps
from support.history_records import (
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
from support.history_story import Mint, Story, stories

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

RUN_RULES: Final[tuple[Callable[[History], Iterable[Violation]], ...]] = (run.nothing_left, run.none_ended)
"""Each looks at the run as a whole."""


def check(history: History) -> list[Violation]:
    """What was promised and not kept, in order of the keys and rules. Empty: all was kept."""
    found = [violation for story in stories(history) for rule in RULES for violation in rule(story)]
    return [*found, *(violation for rule in RUN_RULES for violation in rule(history))]
