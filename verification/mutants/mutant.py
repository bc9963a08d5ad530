"""What a mutant is: one change of the product's own text that must make a test fail."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PRODUCT = ROOT / "server" / "mintonce_server"
LUA_TESTS = ("verification/stateful", "tests/contract", "-k", "valkey", "--hypothesis-profile=mutants")


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
    tests: tuple[str, ...]

    def of(self, text: str) -> str:
        """The text with the change. Raises ValueError unless `old` is there exactly once."""
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"mutant {self.name!r}: its old text is {count} times in {self.file}: {self.old!r}")
        return text.replace(self.old, self.new)

    def mutated(self) -> str:
        """The file's text with the change."""
        return self.of((PRODUCT / self.file).read_text(encoding="utf-8"))


def lua(name: str, script: str, old: str, new: str, breaks: str) -> Mutant:
    """A mutant of one script."""
    return Mutant(name, f"store/lua/{script}.lua", old, new, breaks, LUA_TESTS)


def lua_alone(name: str, script: str, old: str, new: str, breaks: str) -> Mutant:
    """A mutant of one script that concerns what no replica has written, so the contract does not see it."""
    return Mutant(name, f"store/lua/{script}.lua", old, new, breaks, ("tests/store/test_rewritten_records.py",))


def core(name: str, module: str, old: str, new: str, breaks: str, *tests: str) -> Mutant:
    """A mutant of one module of core, that one of these files in tests/core catches."""
    return Mutant(name, f"core/{module}.py", old, new, breaks, tuple(f"tests/core/test_{test}.py" for test in tests))
