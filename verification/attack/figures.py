"""What an attack came to."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Figures:
    """One attack. `broken`: each law that was broken, with how often; `told`: what else the report says."""

    name: str
    examples: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    broken: Counter[str] = field(default_factory=Counter[str])
    told: list[str] = field(default_factory=list[str])

    def saw(self, outcome: str, wrong: str = "") -> None:
        """One example more."""
        self.examples += 1
        self.outcomes[outcome] += 1
        if wrong:
            self.broken[wrong] += 1
