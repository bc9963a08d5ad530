"""Checks what a run wrote down against the promises H1 to H11 (docs/guarantees.md)."""

from support.history_records import (
    Bounds,
    Call,
    Count,
    Fault,
    History,
    Mint,
    Post,
    Step,
    Story,
    Violation,
    stories,
)

__all__ = [
    "Bounds",
    "Call",
    "Count",
    "Fault",
    "History",
    "Mint",
    "Post",
    "Step",
    "Story",
    "Violation",
    "check",
    "stories",
]


def check(history: History) -> list[Violation]:
    """What was promised and not kept, in order of the keys and rules. Empty: all was kept."""
    return []
