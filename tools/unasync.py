"""Makes the blocking half of the Python client from the asyncio half (--write), or says whether it is current.

`async` and `await` are left out and names are replaced. What differs beyond that stands between comments:

    # --- async        what follows is in the asyncio half alone
    # --- sync         what follows, without its leading `# `, is in the blocking half alone
    # --- both         what follows is in both again
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
CLIENT: Final = ROOT / "client" / "python" / "mintonce"
SOURCES: Final = {"aio.py": "client.py", "aio_source.py": "source.py"}

NAMES: Final = (
    (r"`make gen` makes (\w+)\.py from this file", "Made from {source} by `make gen`: change that file"),
    (r"for asyncio", "for threads"),
    (r"Make it in a running event loop and keep it\.", "Thread-safe; meant to be kept."),
    (r"\ban `async with`", "a `with`"),
    (r"\ban `Async", "a `Async"),
    (r"End the task, and", "End the thread and its call, and"),
    (r"`cancel\(\)` ends it;", "`cancel()` ends it, from any thread;"),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"mintonce\.aio_source\b", "mintonce.source"),
    (r"mintonce\.aio\b", "mintonce.client"),
    (r"\b_asyncio\b", "_blocking"),
    (r"\bAsync(TokenClient|TokenSource|Watch|Iterator)\b", r"\1"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"\b__a(enter|exit|next|iter)__", r"__\1__"),
    (r"\baclose\b", "close"),
)
_MARK: Final = re.compile(r"\s*# --- (async|sync|both)$")


def blocking(text: str, source: str) -> str:
    """The blocking half of a module, before it is formatted."""
    lines: list[str] = []
    part = "both"
    for line in text.splitlines():
        if line.startswith("# ruff: noqa: ASYNC"):
            continue
        if mark := _MARK.match(line):
            part = mark[1]
        elif part == "sync":
            lines.append(re.sub(r"^(\s*)# ?", r"\1", line))
        elif part == "both":
            lines.append(_renamed(line, source))
    return "\n".join(lines) + "\n"


def formatted(text: str, name: str) -> str:
    """As `make format` leaves it."""
    for command in (["check", "--select", "I", "--fix", "--quiet"], ["format", "--quiet"]):
        full = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(CLIENT / name), "-"]
        text = subprocess.run(full, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return text


def main() -> int:
    """0 if the committed code is current, or was made so."""
    stale = 0
    for source, target in SOURCES.items():
        wanted = formatted(blocking((CLIENT / source).read_text(), source), target)
        if (CLIENT / target).read_text() == wanted:
            continue
        path = (CLIENT / target).relative_to(ROOT)
        if "--write" in sys.argv[1:]:
            (CLIENT / target).write_text(wanted)
            print(f"renewed {path}")
        else:
            stale += 1
            print(f"{path} is not what {source} gives: change {source}, run make gen, and commit both")
    return bool(stale)


def _renamed(line: str, source: str) -> str:
    for pattern, replacement in NAMES:
        line = re.sub(pattern, replacement.replace("{source}", source), line)
    return line


if __name__ == "__main__":
    sys.exit(main())
