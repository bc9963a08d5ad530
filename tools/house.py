"""Prints the size and the shape of the code, and how much of it a call passes: `make house`.

`--server PATH` looks at another checkout, to compare with. `--words` counts the words that mark unclear English.
"""

import argparse
import ast
import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from hops import Passed, hops
from sizes import GENERATED, functions

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDERS: Final = (
    "server/mintonce_server",
    "server/mintonce_dev",
    "client/python/mintonce",
    "tests",
    "verification",
    "bench",
    "tools",
)
SPLINTER: Final = 50
"""A module of fewer lines with a single importer is worth a look: it may belong to that importer."""
WORDS: Final = ("nobody", "somebody", "whoever", "anew", "besides", "thereby", "is told", "is asked")
DOCS: Final = (".md", ".proto", ".html")
CODE: Final = (".py", ".lua", ".js", ".sh", ".toml", ".yml", ".yaml", "Makefile", "Dockerfile", "run")
"""The words themselves stand in this file, which is not counted."""


@dataclass(frozen=True)
class Module:
    """A Python file. `lines` as wc counts them; `functions`: the length of each."""

    path: str
    lines: int
    functions: Mapping[str, int]
    tree: ast.Module


def modules(checkout: Path, names: Iterable[str]) -> list[Module]:
    """The Python files that git knows, but generated ones."""
    return [_module(checkout, name) for name in names if name.endswith(".py") and not name.startswith(GENERATED)]


def _module(checkout: Path, name: str) -> Module:
    text = (checkout / name).read_text()
    tree = ast.parse(text)
    sizes = {f"{name}:{line} {function}": length for function, line, length in functions(tree)}
    return Module(name, text.count("\n"), sizes, tree)


def files(checkout: Path) -> list[str]:
    """Committed and new, not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    return [name for name in listing.stdout.splitlines() if (checkout / name).is_file()]


def sizes(every: Sequence[Module]) -> str:
    """A line for each folder."""
    rows = [_sizes(folder, [one for one in every if one.path.startswith(f"{folder}/")]) for folder in FOLDERS]
    return _table(
        ("folder", "files", "lines", "median", "largest file", "median", "largest function"), filter(None, rows)
    )


def _sizes(folder: str, those: Sequence[Module]) -> Sequence[str] | None:
    if not those:
        return None
    lines = [one.lines for one in those]
    lengths = {name: length for one in those for name, length in one.functions.items()}
    file = max(those, key=lambda one: one.lines)
    function = max(lengths, key=lambda name: lengths[name], default="")
    of_file = f"{file.lines} {file.path.removeprefix(folder + '/')}"
    of_function = f"{lengths.get(function, 0)} {function.rpartition(' ')[2]}"
    total = f"{sum(lines):,}"
    return (
        folder,
        str(len(those)),
        total,
        f"{median(lines):.0f}",
        of_file,
        f"{median(lengths.values()):.0f}",
        of_function,
    )


def importers(every: Sequence[Module]) -> dict[str, set[str]]:
    """Per module of the server: which others import it. An import of a name from a package counts for its module."""
    named = {_dotted(one.path): one for one in every if one.path.startswith("server/")}
    found: dict[str, set[str]] = {name: set() for name in named}
    for name, module in named.items():
        for imported in _imports(module.tree, named.keys()) - {name}:
            found[imported].add(name)
    return found


def _dotted(path: str) -> str:
    return path.removeprefix("server/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imports(tree: ast.Module, known: Set[str]) -> set[str]:
    """Of the known modules. `from a import b` means the module a.b if there is one, else a."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            longer = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else node.module for name in longer}
    return found & known


def cycles(found: Mapping[str, set[str]]) -> list[set[str]]:
    """Groups of modules that import each other, directly or by others."""
    reach = {name: _reach(name, found) for name in found}
    groups: list[set[str]] = []
    for name in found:
        group = {other for other in reach[name] if name in reach[other]}
        if group and group not in groups:
            groups.append(group)
    return groups


def _reach(start: str, found: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    left = [start]
    while left:
        for name in found[left.pop()] - seen:
            seen.add(name)
            left.append(name)
    return seen


def shape(every: Sequence[Module]) -> str:
    """How many importers the modules have, which of them are splinters, and the cycles."""
    found = importers(every)
    of_lines = {_dotted(one.path): one.lines for one in every if one.path.startswith("server/")}
    code = {name: who for name, who in found.items() if of_lines[name]}
    single = sorted(name for name, who in code.items() if len(who) == 1)
    splinters = [name for name in single if of_lines[name] < SPLINTER]
    counts = Counter(min(len(who), 10) for who in code.values())
    spread = ", ".join(f"{'10+' if number == 10 else number}: {counts[number]}" for number in sorted(counts))
    looped = cycles(found)
    lines = [
        f"importers per module (how many have that many): {spread}",
        f"modules with a single importer: {len(single)} of {len(code)}; below {SPLINTER} lines: {len(splinters)}",
        *(f"  {of_lines[name]:>3} {name} <- {next(iter(found[name]))}" for name in splinters),
        f"import cycles: {len(looped) or 'none'}",
        *(f"  {', '.join(sorted(group))}" for group in looped),
    ]
    return "\n".join(lines)


def passed(counts: Passed) -> str:
    """A line for each kind of call."""
    rows: list[Sequence[str]] = []
    for kind, names in counts.items():
        where = {name: name.partition(":")[0] for name in names}
        parts = Counter(_part(file) for file in where.values())
        spread = ", ".join(f"{part} {number}" for part, number in parts.most_common())
        rows.append((kind, str(len(names)), str(len(set(where.values()))), spread))
    return _table(("call", "functions", "files", "functions by part"), rows)


def _part(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def words(checkout: Path, names: Iterable[str]) -> str:
    """How often each of WORDS stands in code and in documents."""
    counted: dict[str, Counter[str]] = {"code": Counter(), "docs": Counter()}
    for name in names:
        kind = "docs" if name.endswith(DOCS) else "code" if name.endswith(CODE) else None
        if kind is None or name == "tools/house.py" or name.startswith(GENERATED):
            continue
        text = " ".join((checkout / name).read_text().lower().split())
        for word in WORDS:
            counted[kind][word] += len(re.findall(rf"\b{word}\b", text))
    rows = [(word, str(counted["code"][word]), str(counted["docs"][word])) for word in WORDS]
    return _table(("word", "code", "docs"), [*rows, ("all", *(str(one.total()) for one in counted.values()))])


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if cell.replace(",", "").isdigit() else cell.ljust(width) for cell, width in cells
        ).rstrip()
        for cells in (list(zip(line, widths, strict=True)) for line in lines)
    )


def main() -> int:
    """Prints one table after the other. 1 for `--cycles` if there is one."""
    parser = argparse.ArgumentParser(prog="make house", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--server", type=Path, default=ROOT, metavar="PATH", help="another checkout (default: this one)"
    )
    parser.add_argument("--words", action="store_true", help="count the words that mark unclear English instead")
    parser.add_argument("--cycles", action="store_true", help="only fail if modules import each other in a circle")
    options = parser.parse_args()
    checkout: Path = options.server.resolve()
    names = files(checkout)
    if options.words:
        print(words(checkout, names))
        return 0
    if options.cycles:
        looped = cycles(importers(modules(checkout, [name for name in names if name.startswith("server/")])))
        print("\n".join(f"import each other in a circle: {', '.join(sorted(group))}" for group in looped))
        return bool(looped)
    every = modules(checkout, names)
    print(f"{sizes(every)}\n\n{shape(every)}\n", flush=True)
    print(passed(asyncio.run(hops(checkout))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
