"""Texts with wildcards, as the policy writes them.

`*` stands for any run of characters except `/`, `:` and space, the empty run too; `**` for any run without a space. A
pattern that is `*` or `**` and nothing else matches everything. All else stands for itself; small and capital letters
differ. No wildcard matches a space, because it may separate several names.
"""

from collections.abc import Iterable
from typing import Final

MAX_PATTERN: Final = 1024
"""Characters of a pattern."""

_BORDERS: Final = frozenset("/:")


def pattern_fault(text: str, *, of_audiences: bool = True) -> str:
    """What is wrong with a pattern; "" when nothing is. Only audiences may have spaces and other scripts."""
    if len(text) > MAX_PATTERN:
        return f"is longer than {MAX_PATTERN} characters"
    if not of_audiences and not all("\x21" <= char <= "\x7e" for char in text):
        return "has a space or a character beyond printable ASCII, which no such name has"
    if not text.isprintable():
        return "has a character that cannot be printed, which no name has"
    if text != " ".join(text.split()):
        return "has a space at its beginning or end, or two in a row"
    if "***" in text:
        return "has three or more * in a row"
    return ""


class Pattern:
    """One pattern. Raises ValueError when it is malformed.

    No regular expression: one that backtracks takes ages to find that `*a*a*a*b` does not match a long text of a's.
    This is an automaton whose states are the bits of a number: its work is that of one look at each character.
    """

    __slots__ = ("_any", "_end", "_everything", "_literal", "_masks", "_prefix", "_start", "_within", "text")

    def __init__(self, text: str) -> None:
        if fault := pattern_fault(text):
            raise ValueError(f"the pattern {fault}")
        self.text = text
        self._literal = "*" not in text
        self._everything = text in ("*", "**")
        self._prefix = text.partition("*")[0]
        self._masks: dict[str, int] = {}
        self._any = self._within = 0
        if not self._literal:
            self._compile(text)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def matches(self, text: str) -> bool:
        """Whether the whole text is what the pattern describes."""
        if self._literal or self._everything:
            return self._everything or text == self.text
        if not text.startswith(self._prefix):
            return False
        here, runs = self._start, self._any | self._within
        for char in text:
            on = (here & self._masks.get(char, 0)) << 1
            stay = 0 if char == " " else here & (self._any if char in _BORDERS else runs)
            here = on | stay
            if not here:
                return False
            here |= (here & runs) << 1  # a run may be empty; no two runs are neighbours
        return bool(here & self._end)

    def _compile(self, text: str) -> None:
        """Bit i of the state: the first i steps have matched. A step is a character or a run."""
        steps = text.replace("**", "\0")  # "***" has been refused; "\0" stands in no pattern
        for index, step in enumerate(steps):
            bit = 1 << index
            if step == "\0":
                self._any |= bit
            elif step == "*":
                self._within |= bit
            else:
                self._masks[step] = self._masks.get(step, 0) | bit
        self._end = 1 << len(steps)
        self._start = 1 | (1 & (self._any | self._within)) << 1


class Patterns:
    """Several patterns: a text matches when one of them does."""

    __slots__ = ("_all", "_literals", "_wild")

    def __init__(self, texts: Iterable[str]) -> None:
        patterns = [Pattern(text) for text in texts]
        self._all = any(pattern.text in ("*", "**") for pattern in patterns)
        self._literals = frozenset(pattern.text for pattern in patterns if "*" not in pattern.text)
        self._wild = tuple(pattern for pattern in patterns if "*" in pattern.text)

    def match(self, text: str) -> bool:
        return self._all or text in self._literals or any(pattern.matches(text) for pattern in self._wild)
