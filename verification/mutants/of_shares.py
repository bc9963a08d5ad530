"""Mutants: one caller, or one API that hangs, takes what belongs to all."""

from mutants.mutant import core

SHARES = (
    core(
        "one caller may have all turns at an issuer",
        "turns",
        "return self._held[who] < self._left",
        "return self._left > 0",
        "keys that hang keep all others from the issuer",
        "turns",
    ),
    core(
        "keys that hung are forgotten",
        "turns",
        "who = _THE_SLOW if key_hash in self._slow else caller",
        "who = caller",
        "where callers have no names, an API that hangs takes all turns",
        "turns",
    ),
    core(
        "a turn that came too late is lost",
        "turns",
        "if granted.done():",
        "if False:",
        "each time there is one turn less, until none is left",
        "turns",
    ),
    core(
        "a stop counts as a wait",
        "turns",
        "min(now - self._counted_at, COUNTS)",
        "now - self._counted_at",
        "a replica that was stopped refuses what it could have",
        "turns",
    ),
    core(
        "who was served stays first",
        "turns",
        "self._waiting[who] = self._waiting.pop(who)",
        "pass",
        "who asks for most gets most",
        "turns",
    ),
    core(
        "one caller may have all lone mints",
        "outage",
        "if caller not in _NAMELESS and taken + 1.0 > self._all.left:",
        "if False:",
        "in an outage of the store one caller keeps the others from a mint",
        "lone_budget",
    ),
)
