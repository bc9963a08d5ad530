"""Holds the documents to the programs.

docs/reference/ is what tools/reference.py makes of the programs and the protos. A fenced block after
`<!-- help: COMMAND -->` is what `COMMAND --help` prints. Links lead to files and headings that exist.
`--write` renews pages and blocks.
"""

import re
import sys
from functools import cache
from pathlib import Path

from reference import help_text, pages
from sizes import ROOT, files

BLOCK = re.compile(
    r"<!-- help: (?P<command>mintonced?[\w -]*?) -->\n+```\w*\n(?P<shown>.*?)^```$", re.DOTALL | re.MULTILINE
)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")


def comparable(text: str) -> str:
    """Without what argparse of Python 3.13 lays out in another way: `-s X, --scope X` became `-s, --scope X`."""
    return " ".join(re.sub(r"(-\w) [A-Z_]+, (--)", r"\1, \2", text).split())


@cache
def heading_anchors(path: Path) -> frozenset[str]:
    """The anchors of a document's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def broken_links(path: Path) -> list[str]:
    """Links to files and headings that do not exist. Addresses on the web are not tried."""
    found: list[str] = []
    for match in LINK.finditer(CODE.sub("``", FENCE.sub("", path.read_text()))):
        name, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", name):
            continue
        target = (path.parent / name).resolve() if name else path
        missing = not target.exists()
        if missing or (anchor and target.suffix == ".md" and anchor not in heading_anchors(target)):
            found.append(f"{path.relative_to(ROOT)}: the link to {match['target']} leads nowhere")
    return found


def stale_blocks(path: Path) -> list[str]:
    """Blocks that differ from what the program prints."""
    text, name = path.read_text(), path.relative_to(ROOT)
    blocks = list(BLOCK.finditer(text))
    found = [
        f"{name}: the block of `{match['command']} --help` is not what it prints: run make readme"
        for match in blocks
        if comparable(match["shown"]) != comparable(help_text(match["command"]))
    ]
    if len(re.findall(r"^<!-- help:", text, re.MULTILINE)) != len(blocks):
        found.append(f"{name}: a `<!-- help: … -->` is not followed by a fenced block")
    return found


def stale_pages() -> list[str]:
    """Pages of the reference that differ from what the programs and the protos give."""
    return [
        f"{path.relative_to(ROOT)} is out of date: run make readme"
        for path, text in pages().items()
        if not path.exists() or comparable(path.read_text()) != comparable(text)
    ]


def renewed(text: str) -> str:
    """The document with its blocks as the programs print them now."""

    def block(match: re.Match[str]) -> str:
        before, after = (match.start("shown") - match.start(), match.end("shown") - match.start())
        return f"{match[0][:before]}{help_text(match['command'])}{match[0][after:]}"

    return BLOCK.sub(block, text)


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    return [ROOT / name for name in files() if name.endswith(".md")]


def main() -> int:
    """0 if documents and programs agree, or were made to."""
    if "--write" in sys.argv[1:]:
        for path, text in pages().items():
            path.write_text(text)
        for path in documents():
            path.write_text(renewed(path.read_text()))
    found = [*stale_pages(), *(fault for path in documents() for fault in broken_links(path) + stale_blocks(path))]
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
