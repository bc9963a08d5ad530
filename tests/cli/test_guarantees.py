"""docs/guarantees.md and the runbook name only settings, defaults, events, reasons and tests that exist."""

import json
import re
from pathlib import Path

import pytest
from readme import heading_anchors

from mintonce_server.config.reference import reference
from mintonce_server.core.errors import Reason
from mintonce_server.observability.journal import JOURNAL

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "guarantees.md", ROOT / "docs" / "operating" / "runbook.md"]
DOCUMENT = "".join(page.read_text() for page in PAGES)
GUIDES = [
    ROOT / "README.md",
    *sorted(
        page
        for page in (ROOT / "docs").rglob("*.md")
        if not {"reference", "reports", "decisions"} & set(page.relative_to(ROOT).parts)
    ),
]
SOURCES = "".join(path.read_text() for path in (ROOT / "server").rglob("*.py"))
CLIENTS = [*(ROOT / "client" / "python").rglob("*.py"), *(ROOT / "client" / "rust" / "src").rglob("*.rs")]
WORDS = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", SOURCES + "".join(path.read_text() for path in CLIENTS)))
NAMES_OF_OTHERS = {
    "core_pattern",
    "process_resident_memory_bytes",  # of Prometheus' library
    "credential_injector", "endpoint_params", "invalid_token_response", "validation_context",  # of Envoy and of SDKs
    # What the issuers' pages say of the issuers.
    "check_client_secret", "create_token_response", "get_allowed_scope", "get_audiences", "grant_types",
    "invalid_dpop_proof", "jwks_uri", "token_endpoint_auth_method", "token_endpoint_auth_signing_alg",
}  # fmt: skip
DEFAULTS = {row.name: row.default.strip('"') for row in reference()}
FIELDS_OF_EVERY_LINE = {"timestamp", "level", "event", "logger", "request_id"}
EVENTS = {name: set(kind.logged()) for kind, (name, _) in JOURNAL.items()}
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


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_each_name_in_a_guide_is_one_of_the_program(page: Path) -> None:
    """In code, outside of blocks."""
    code = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE))
    names = {name for text in code for name in re.findall(r"(?<![\w/=.-])[a-z]+(?:_[a-z]+)+(?![\w/(.]|=\w)", text)}
    assert [
        name for name in sorted(names - NAMES_OF_OTHERS) if not name.startswith("test_") and name not in WORDS
    ] == []


def test_each_reason_in_it_is_one_of_the_program() -> None:
    """Words in capitals with an underscore are reasons, gRPC codes, or why a commit was refused."""
    said = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", DOCUMENT))
    codes = {"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "DEADLINE_EXCEEDED", "OLD_CREDENTIALS"}
    assert said - codes - set(Reason) == set()


def test_each_file_that_is_named_is_there() -> None:
    """A promise without its test would be a wish."""
    assert [path for path in words(r"(?:tests|verification|docs|server)/[\w./]+") if not (ROOT / path).exists()] == []


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_links_lead_somewhere(page: Path) -> None:
    """To its own headings; tools/readme.py follows the others."""
    text = page.read_text()
    assert [target for target in re.findall(r"\]\(#([\w-]+)\)", text) if target not in heading_anchors(page)] == []
