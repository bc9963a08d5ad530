"""Fails on files and functions that have grown too long to be read in one go."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
GENERATED = (
    "client/python/mintonce/v1/",
    "client/go/mintoncev1/",
    "client/java/mintonce-client/src/generated/",
    "client/node/src/gen/",
)
FUNCTION_LINES = 40
# "path::function": why it is better in one piece.
LONG_FUNCTIONS: dict[str, str] = {
    "conformance/servers/api.py::__init__": "http.server makes the handlers, so their class needs the server's state",
}


def limit(path: str) -> int | None:
    """How many lines a file may have; None: not checked."""
    if path.startswith(GENERATED):
        return None
    if path.endswith(".lua"):
        return 40
    if path.endswith((".py", ".mjs", ".js", ".ts", ".go", ".java")):
        return 400
    return None


def functions(tree: ast.AST) -> Iterator[tuple[str, int, int]]:
    """Each function's name, first line and length, decorators and docstring not counted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node) is not None
            first = node.body[0].end_lineno or node.lineno if documented else node.lineno
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - first + 1


def complaints(path: str, text: str) -> Iterator[str]:
    """What is too long in one file."""
    most = limit(path)
    if most is None:
        return
    lines = text.count("\n")
    if lines > most:
        yield f"{path}: {lines} lines, at most {most}: split it by what its parts are for"
    if not path.endswith(".py"):
        return
    for name, line, length in functions(ast.parse(text)):
        if length > FUNCTION_LINES and f"{path}::{name}" not in LONG_FUNCTIONS:
            yield f"{path}:{line}: {name} has {length} lines, at most {FUNCTION_LINES} (or a reason in tools/sizes.py)"


def files() -> list[str]:
    """What git knows or would take: committed and new, not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


def main() -> int:
    """0 if nothing is too long."""
    found = [
        complaint
        for name in files()
        if limit(name) is not None
        for complaint in complaints(name, (ROOT / name).read_text())
    ]
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
