"""What a mutant is: one change of the product's own text that must make a test fail."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PRODUCT = ROOT / "server" / "mintonce_server"
LUA_TESTS = ("tests/stateful", "tests/contract", "-k", "valkey", "--hypothesis-profile=mutants")
CORE_TESTS = ("tests/core",)


@dataclass(frozen=True, slots=True)
class Mutant:
    """In `file`, below server/mintonce_server, `old` becomes `new`.

    Attributes:
        breaks: what goes wrong then, in a sentence.
        tests: what pytest is given; one of these tests must fail.
    """

    name: str
    file: str
    old: str
    new: str
    breaks: str
    tests: tuple[str, ...] = CORE_TESTS

    def of(self, text: str) -> str:
        """The text with the change. Raises ValueError unless `old` is there exactly once."""
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"mutant {self.name!r}: its old text is {count} times in {self.file}: {self.old!r}")
        return text.replace(self.old, self.new)

    def mutated(self) -> str:
        """The file's text with the change."""
        return self.of((PRODUCT / self.file).read_text(encoding="utf-8"))
