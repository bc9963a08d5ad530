"""The security documents name only tests, settings and files that exist, and leave no threat without a word."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from mintonce_server.config import load
from mintonce_server.config.reference import reference

ROOT = Path(__file__).parents[2]
MODEL = (ROOT / "docs" / "security" / "model.md").read_text()
HARDENING = (ROOT / "docs" / "security" / "hardening.md").read_text()
DOCUMENTS = {
    "SECURITY.md": (ROOT / "SECURITY.md").read_text(),
    "docs/security/model.md": MODEL,
    "docs/security/hardening.md": HARDENING,
}
SETTINGS = {row.name for row in reference()}
COLUMNS = ("id", "who", "threat", "countermeasure", "setting", "remains", "shown")


def threats() -> list[dict[str, str]]:
    """The rows of the table."""
    rows = re.findall(r"^\| ([A-Z]\d+ \|.*) \|$", MODEL, re.MULTILINE)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows]
    assert [row for row in cells if len(row) != len(COLUMNS)] == []
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells]


@cache
def functions_of(path: str) -> frozenset[str]:
    """The functions of a file that pytest would run."""
    tree = ast.parse((ROOT / path).read_text())
    found = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return frozenset(name for name in found if name.startswith("test_"))


def test_each_test_that_is_named_exists() -> None:
    """By file, or by file and function."""
    named = [
        found
        for text in DOCUMENTS.values()
        for found in re.findall(r"`((?:tests|verification)/[\w/.]+?)(?:::(\w+))?`", text)
    ]
    assert len(named) > 30
    assert [path for path, _ in named if not (ROOT / path).exists()] == []
    assert [(path, name) for path, name in named if name and name not in functions_of(path)] == []


@pytest.mark.parametrize("threat", threats(), ids=lambda threat: threat["id"])
def test_each_threat_has_a_countermeasure_and_a_test_or_the_lack_of_one(threat: dict[str, str]) -> None:
    """The document claims no test that does not exist."""
    assert threat["countermeasure"]
    assert re.fullmatch(
        r"`(tests|verification)/[^`]+`(, `(tests|verification)/[^`]+`)*(; no test( yet)?: .+)?|no test( yet)?(: .+)?",
        threat["shown"],
    )


def test_no_threat_is_there_twice() -> None:
    """Issues and advisories refer to them by their ids."""
    ids = [threat["id"] for threat in threats()]
    assert len(ids) == len(set(ids))


def test_each_setting_that_is_named_exists() -> None:
    """What is renamed in the program is renamed here."""
    named = {name for threat in threats() for name in re.findall(r"`([a-z_]+(?:\.\w+)*)`", threat["setting"])}
    assert named
    assert named - SETTINGS == set()


def test_each_attacker_is_explained() -> None:
    """The letters of the second column, and of the ids."""
    explained = set(re.findall(r"\b([A-Z]) (?:a|an) ", MODEL.partition("## Who attacks")[2].partition("##")[0]))
    used = {letter for threat in threats() for letter in (threat["id"][0], *threat["who"].split(", "))}
    assert used == explained


@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_links_lead_somewhere(name: str) -> None:
    """To files of ours, or to headings of the same document."""
    text = DOCUMENTS[name]
    headings = {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in re.findall(r"^#+ (.+)$", text, re.M)}
    targets = re.findall(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)", text)
    dead = [target for target in targets if target[0] == "#" and target[1:] not in headings]
    files = [
        target.partition("#")[0] for target in targets if target[0] != "#"
    ]  # tools/readme.py looks at their headings
    dead += [file for file in files if not (ROOT / name).parent.joinpath(file).exists()]
    assert dead == []


def test_the_example_of_a_configuration_is_accepted(tmp_path: Path) -> None:
    """With files in the places that it names, and without any word that it is insecure."""
    (example,) = re.findall(r"^```toml\n(.*?)^```", HARDENING, re.MULTILINE | re.DOTALL)
    here = re.sub(r'"/(?:run/secrets|etc|var/log)/mintonce/([^"]+)"', rf'"{tmp_path}/\1"', example)
    for path in map(Path, re.findall(r'"(/[^"]+)"', here)):
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o600)
        path.write_text("rediss://mintonce:p@redis.example.com:6379/0" if path.name == "redis-url" else "x")
    config = tmp_path / "mintonce.toml"
    config.touch(mode=0o600)
    config.write_text(here)
    assert load(config, {}).listen == "0.0.0.0:50051"
    assert "insecure" not in example
