"""docs/guarantees.md says nothing that the program does not know: settings, defaults, events, reasons, tests."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from mintonce_server.config.reference import reference
from mintonce_server.core.errors import Reason
from mintonce_server.observability.journal import JOURNAL

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "guarantees.md").read_text()
SOURCES = "".join(path.read_text() for path in (ROOT / "server").rglob("*.py"))
DEFAULTS = {row.name: row.default.strip('"') for row in reference()}
FIELDS_OF_EVERY_LINE = {"timestamp", "level", "event", "logger", "request_id"}
EVENTS = {name: {field.name for field in fields(kind)} for kind, (name, _) in JOURNAL.items()}
LEVELS = dict(JOURNAL.values())


def lines() -> list[dict[str, object]]:
    """The log lines that it shows."""
    return [json.loads(line) for line in DOCUMENT.splitlines() if line.startswith("{")]


def words(pattern: str) -> list[str]:
    """What stands in it as code, of a certain shape; each once."""
    return sorted(set(re.findall(rf"`({pattern})`", DOCUMENT)))


@pytest.mark.parametrize(("name", "default"), re.findall(r"^\| `([\w.]+)` \| ([\w ]+) \|", DOCUMENT, re.MULTILINE))
def test_a_setting_has_the_default_that_is_claimed(name: str, default: str) -> None:
    """In the table of the numbers."""
    assert DEFAULTS[name] == default.replace(" ", "")


def test_each_name_in_it_is_one_of_the_program() -> None:
    """A setting, an event, or a field of an event: what is renamed there is renamed here."""
    known = {name.rpartition(".")[2] for name in DEFAULTS} | EVENTS.keys()
    known |= {field for told in EVENTS.values() for field in told}
    others = [name for name in words(r"[a-z]+(?:_[a-z]+)+") if name not in known]
    assert [name for name in others if f'"{name}"' not in SOURCES] == []


def test_each_reason_in_it_is_one_of_the_program() -> None:
    """Words in capitals with an underscore are reasons, gRPC codes, or why a commit was refused."""
    said = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", DOCUMENT))
    codes = {"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "DEADLINE_EXCEEDED", "OLD_CREDENTIALS"}
    assert said - codes - set(Reason) == set()


def test_each_file_that_is_named_is_there() -> None:
    """A promise without its test would be a wish."""
    assert [path for path in words(r"(?:tests|docs|server)/[\w./]+") if not (ROOT / path).exists()] == []


def test_each_promise_names_a_test() -> None:
    """The last column of the table."""
    rows = DOCUMENT.partition("## The promises")[2].partition("**In one line")[0].splitlines()[4:]
    assert [
        row for row in rows if row.startswith("|") and not re.search("`(tests|verification)/", row.split("|")[4])
    ] == []


def test_the_log_lines_are_what_the_program_writes() -> None:
    """Event, level and fields; those of events that are not of the broker are looked for in the source."""
    assert len(lines()) > 10
    for line in lines():
        name, told = str(line["event"]), line.keys() - FIELDS_OF_EVERY_LINE
        if name in EVENTS:
            assert (told, line["level"]) == (EVENTS[name], LEVELS[name])
        else:
            assert f'"{name}"' in SOURCES
            assert [field for field in told if f"{field}=" not in SOURCES] == []


def test_its_links_lead_somewhere() -> None:
    """To its own headings."""
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", DOCUMENT, re.MULTILINE)}
    assert [target for target in re.findall(r"\]\(#([\w-]+)\)", DOCUMENT) if target not in anchors] == []
