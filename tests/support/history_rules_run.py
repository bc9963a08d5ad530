"""H11, H15: what is true of a run as a whole."""

from collections.abc import Iterator

from support.history_records import History, Violation


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
