"""What the program says can be followed: the log masks nothing of its own sentences."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mintonce_server
from mintonce_server.core.errors import AuditUnavailable
from mintonce_server.observability.redaction import Redactor

HEADER = "Bearer VALUE"
SOURCES = sorted(Path(next(iter(mintonce_server.__path__))).rglob("*.py"))


def sentences(source: Path) -> Iterator[str]:
    """The literals with a space in them, but for docstrings and descriptions of settings. VALUE stands for a value."""
    tree = ast.parse(source.read_text())
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    documented |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and _describes(node)}
    for node in ast.walk(tree):
        text = ""
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "VALUE" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            text = node.value
        if " " in text and "(?" not in text and text != HEADER:  # that is a pattern
            yield text


def _describes(node: ast.keyword) -> bool:
    return node.arg == "description"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_no_sentence_of_the_program_is_masked(source: Path) -> None:
    """Such as "a bearer token", of which "token" would go, or the place of a password in a URL."""
    redactor = Redactor()
    masked = {text: shown for text in sentences(source) if (shown := redactor.text(text)) != text}
    assert masked == {}


@pytest.mark.parametrize(
    "url", ["redis://USER:PASSWORD@host/0", "http://:PASSWORD@host:3128", "unix://:PASSWORD@/path"]
)
def test_the_place_of_a_password_is_shown(url: str) -> None:
    """As remedies name it; what stands in a real URL is not."""
    assert Redactor().text(f"Write {url}, or another one.") == f"Write {url}, or another one."
    real = url.replace("PASSWORD", "hunter2")
    assert "hunter2" not in Redactor().text(real)
    assert "hunter2" not in Redactor().text(f"{url} {real}")


def test_callers_are_not_told_where_the_audit_log_is() -> None:
    """What they can do is to wait. The file is the operators' matter, and in the log."""
    error = AuditUnavailable("the audit log cannot be written", remedy="Free space for /var/log/mintonce/audit.jsonl.")
    assert "/" not in error.remedy_for_callers
    assert "/var/log" in error.remedy
