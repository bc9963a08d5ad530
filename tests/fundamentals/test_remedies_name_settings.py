"""Each setting that a remedy names exists, so that the advice can be followed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import mintonce_server
from mintonce_server.config import reference
from mintonce_server.issuer import METHODS

SOURCES = Path(mintonce_server.__file__).parent
NAME = re.compile(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b")

WORDS = frozenset(
    {
        *METHODS,
        "client_credentials",  # the grant (RFC 6749, section 4.4)
        "client_secret_jwt",
        "tls_client_certificate_bound_access_tokens",  # of a client's registration (RFC 8705, section 3.4)
        "access_token", "expires_in", "token_type", "token_endpoint",  # RFC 6749 and 8414
        "key_ops", "jwks_unavailable", "issuer_said", "index_key", "redis_url",
        "mint_failed", "next_page_token", "commit_refused", "lease_lost", "wakes_interrupted",
        "min_ttl", "page_token", "page_size", "access_token_sha256", "retry_after",
        "sentinel_password",
    }
)  # fmt: skip
"""Names of OAuth, of the API, of log lines and their fields, of our own files, and of options of a Redis URL."""


LAST_IS_REMEDY = frozenset(
    {"invalid", "ValidationIssue", "Cause", "BadLifetime", "BadGrant", "FileError", "_malformed", "_unusable", "note"}
)
"""Functions whose last argument is a remedy."""


def remedies() -> Iterator[tuple[str, str]]:
    """Every text that is passed as a remedy, or stands in issuer/remedies.py, with its file."""
    for path in SOURCES.rglob("*.py"):
        tree = ast.parse(path.read_text())
        whole = path.name == "remedies.py"
        for node in ast.walk(tree):
            if whole and isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                yield path.name, node.value
            elif isinstance(node, ast.keyword) and node.arg == "remedy":
                yield from texts(path.name, node.value)
            elif isinstance(node, ast.Call) and name_of(node.func) in LAST_IS_REMEDY and node.args:
                yield from texts(path.name, node.args[-1])


def texts(file: str, expression: ast.expr) -> Iterator[tuple[str, str]]:
    for part in ast.walk(expression):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield file, part.value


def name_of(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def test_there_are_remedies() -> None:
    """So that the next test proves something."""
    assert len(list(remedies())) > 100


def test_each_name_in_a_remedy_is_a_setting() -> None:
    """Or a word of OAuth, of the API or of the log."""
    settings = {part for row in reference() for part in row.name.split(".")}
    unknown = {
        (file, name)
        for file, text in remedies()
        for name in NAME.findall(text)
        if name not in settings and name not in WORDS
    }
    assert not unknown
