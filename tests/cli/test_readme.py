"""What the README, the guide to deploying and the page on clients tell people to write works."""

import re
import tomllib
from pathlib import Path

import pytest

from mintonce_server.config import load

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
CLIENTS = ROOT / "docs" / "clients" / "python.md"
DEPLOY = ROOT / "docs" / "operating" / "deploy.md"


def blocks(language: str, document: Path = README) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.DOTALL | re.MULTILINE)


def test_it_is_short() -> None:
    """Reference and guides are in docs/."""
    assert len(README.read_text().splitlines()) <= 150


def test_the_configuration_file_in_the_readme_is_valid(tmp_path: Path) -> None:
    """With the secret files in place, it loads without a fault."""
    (text,) = blocks("toml")
    for client in tomllib.loads(text)["clients"].values():
        secret = tmp_path / client["client_secret_files"][0]
        secret.parent.mkdir(exist_ok=True)
        secret.touch(mode=0o600)
        secret.write_text("a secret")
    config = tmp_path / "mintonce.toml"
    config.write_text(text)
    settings = load(config, {})
    assert set(settings.clients) == {"billing", "reports"}
    assert settings.issuers["acme"].token_url == "https://acme.eu.auth0.com/oauth/token"
    assert settings.issuers["acme"].request == "json"


def test_the_guarded_configuration_is_valid(tmp_path: Path) -> None:
    """With the files in place that it names, no `insecure_…` setting is needed."""
    text, *_ = blocks("toml", DEPLOY)
    for name in re.findall(r'^\w+_files? = \[?"([^"/]+)"\]?$', text, re.MULTILINE):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text("rediss://redis.internal:6379/0" if name == "redis-url" else "something")
    config = tmp_path / "mintonce.toml"
    config.write_text(text)
    settings = load(config, {})
    assert settings.tls is not None
    assert not settings.insecure_listen


@pytest.mark.parametrize("document", [README, CLIENTS], ids=lambda path: path.name)
def test_the_python_in_it_compiles_and_imports_what_there_is(document: Path) -> None:
    """Names that are gone, or misspelt, show here."""
    found = blocks("python", document)
    assert found
    for text in found:
        compile(text, document.name, "exec")
        for line in re.findall(r"^from mintonce.*$", text, re.MULTILINE):
            exec(line, {})  # our own words
