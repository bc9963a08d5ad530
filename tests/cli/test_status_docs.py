"""The documents of the status page show what the programs show, and name every field."""

import re
from pathlib import Path
from typing import cast

from mintonce.cli._screen import View, screen
from mintonce.cli._status import lines
from mintonce_server.core.status import as_json
from support.snapshots import busy

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "operating" / "status-page.md").read_text()
REFERENCE = (DOCS / "reference" / "status.md").read_text()


def fields(value: object) -> set[str]:
    """The names in it, at any depth; not those of causes and states, which are values."""
    found: set[str] = set()
    if isinstance(value, dict):
        for name, each in cast("dict[str, object]", value).items():
            found |= {name} if name in ("by_cause", "by_state") else {name} | fields(each)
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            found |= fields(each)
    return found


def test_the_reference_names_every_field_and_no_other() -> None:
    """What a script may count on."""
    names = fields(as_json(busy()))
    table = REFERENCE.partition("| Field |")[2]
    named = set(re.findall(r"`(?:\w+\.)?([a-z_0-9]+)(?:\[\])?`", table))
    assert names - named == set()
    assert named - names == {"well", "notice", "trouble"}  # values of `level`


def test_the_example_of_status_is_what_it_prints() -> None:
    """To the letter."""
    shown = PAGE.partition("$ mintonce status\n")[2].partition("\n```")[0]
    assert shown.splitlines() == list(lines(as_json(busy())))


def test_the_example_of_top_is_what_it_shows() -> None:
    """A terminal of 120 columns and 20 lines."""
    shown = PAGE.partition("```text\n")[2].partition("\n```")[0]
    assert shown.splitlines() == [line.text.rstrip() for line in screen(as_json(busy()), View(), 120, 20)]


def test_the_pictures_are_there_and_small() -> None:
    """150 kB each at most, and all of them are shown."""
    shown = set(re.findall(r"\(images/([\w-]+\.png)\)", PAGE))
    there = {path.name: path.stat().st_size for path in (DOCS / "operating" / "images").glob("status-*.png")}
    assert shown <= set(there)
    assert max(there.values()) <= 150_000
