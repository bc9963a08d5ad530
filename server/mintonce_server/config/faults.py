"""What is wrong with a configuration, all at once. No fault repeats a value: it may be a secret in the wrong place."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mintonce_server.core.errors import MintonceError
from mintonce_server.core.text import visible

SettingPath: TypeAlias = tuple[str, ...]
"""Where a setting is: ("clients", "billing", "issuer")."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to mend.

    Attributes:
        where: the file and the path in it, or the environment variable.
        what: what is wrong.
        remedy: a sentence for a person.
    """

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return visible(f"{self.where}: {self.what}. {self.remedy}")


class SettingsError(MintonceError):
    """The settings cannot be used. `faults` holds everything that was found, not only the first."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        lines = "".join(f"\n  {fault}" for fault in self.faults)
        super().__init__(f"{count} in the settings:{lines}", remedy="Mend them, and try again with `mintonced check`.")


def dotted(path: Iterable[str]) -> str:
    """The path as TOML writes it: clients."my client".issuer."""
    return ".".join(part if _is_bare(part) else f'"{part}"' for part in path)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A remedy for a name that nobody knows."""
    known = sorted(known)
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(known)}."


def _is_bare(part: str) -> bool:
    return part.isascii() and part.replace("-", "").replace("_", "").isalnum()
