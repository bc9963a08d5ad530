"""Holds the documents to the program: a fenced block after `<!-- help: COMMAND -->` is what `COMMAND --help` prints.

The table after `<!-- settings -->` is what `mintonced settings` prints. Links lead somewhere, too.
`--write` renews blocks and tables.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
BLOCK = re.compile(
    r"<!-- help: (?P<command>mintonced?[\w -]*?) -->\n+```\w*\n(?P<shown>.*?)^```$", re.DOTALL | re.MULTILINE
)
# The table may be missing: in a document that is just being written.
TABLE = re.compile(r"^<!-- settings -->\n(?P<shown>(?:\n?(?:\|.*\n)+)?)", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)|!\[[^\]]*\]\((?P<picture>[^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def printed(command: str, *arguments: str) -> str:
    """What the program prints, at a width that does not depend on the terminal. Raises RuntimeError if it fails."""
    program, *rest = command.split()
    plain = os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "PYTHON_COLORS": "0"}
    path = Path(sys.executable).parent / program
    whole = [str(path), *rest, *arguments]
    done = subprocess.run(whole, env=plain, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:  # what it says then must not get into a document
        raise RuntimeError(f"`{command}` failed\n{done.stderr}")
    return done.stdout


def help_text(command: str) -> str:
    """What `COMMAND --help` prints."""
    return printed(command, "--help")


def settings_table() -> str:
    """The reference of the settings, without the empty line at its end."""
    return printed("mintonced settings").strip() + "\n"


def comparable(text: str) -> str:
    """Without what argparse of Python 3.13 lays out in another way: `-s X, --scope X` became `-s, --scope X`."""
    return " ".join(re.sub(r"(-\w) [A-Z_]+, (--)", r"\1, \2", text).split())


def heading_anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(name: str, text: str) -> list[str]:
    """Links to files and headings that are not there. The web is not asked."""
    found: list[str] = []
    for match in LINK.finditer(FENCE.sub("", text)):
        target = match["target"] or match["picture"]
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        if path and not (ROOT / path).exists():
            found.append(f"{name}: the link to {path} leads nowhere")
        elif not path and anchor not in heading_anchors(text):
            found.append(f"{name}: the link to #{anchor} leads nowhere")
    return found


def stale_blocks(name: str, text: str) -> list[str]:
    """Blocks and tables that show something else than the program says."""
    blocks = [
        f"{name}: the block of `{match['command']} --help` is not what it prints: run make readme"
        for match in BLOCK.finditer(text)
        if comparable(match["shown"]) != comparable(help_text(match["command"]))
    ]
    tables = [
        f"{name}: the table of the settings is not what `mintonced settings` prints: run make readme"
        for match in TABLE.finditer(text)
        if match["shown"].lstrip("\n") != settings_table()
    ]
    return blocks + tables


def renewed(text: str) -> str:
    """The document with its blocks as the programs print them now."""

    def block(match: re.Match[str]) -> str:
        before, after = (match.start("shown") - match.start(), match.end("shown") - match.start())
        return f"{match[0][:before]}{help_text(match['command'])}{match[0][after:]}"

    # Through a function: a backslash in the table is then no reference to a group.
    return TABLE.sub(lambda _: f"<!-- settings -->\n{settings_table()}", BLOCK.sub(block, text))


def main() -> int:
    """0 if documents and programs agree, or were made to."""
    found: list[str] = []
    for path in (ROOT / name for name in DOCUMENTS if (ROOT / name).exists()):
        text = path.read_text()
        if "--write" in sys.argv[1:]:
            path.write_text(renewed(text))
            continue
        if len(re.findall(r"^<!-- help:", text, re.MULTILINE)) != len(BLOCK.findall(text)):
            found.append(f"{path.name}: a `<!-- help: … -->` is not followed by a fenced block")
        found += broken_links(path.name, text) + stale_blocks(path.name, text)
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
