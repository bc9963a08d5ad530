"""What the README tells people to write works."""

import re
import tomllib
from pathlib import Path

from mintonce_server.config import load

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)


def test_the_configuration_file_in_the_readme_is_valid(tmp_path: Path) -> None:
    """With the secret files in place, it loads without a fault."""
    text, _ = blocks("toml")
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


def test_the_guarded_configuration_in_the_readme_is_valid(tmp_path: Path) -> None:
    """With the files in place that it names, nothing need be said out loud."""
    _, text = blocks("toml")
    for name in re.findall(r'^\w+_files? = \[?"([^"/]+)"\]?$', text, re.MULTILINE):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text("rediss://redis.internal:6379/0" if name == "redis-url" else "something")
    config = tmp_path / "mintonce.toml"
    config.write_text(text)
    settings = load(config, {})
    assert settings.tls is not None
    assert not settings.insecure_listen


def test_the_python_in_the_readme_compiles_and_imports_what_there_is() -> None:
    """Names that are gone, or misspelt, show here."""
    for text in blocks("python"):
        compile(text, "README.md", "exec")
        for line in re.findall(r"^from mintonce.*$", text, re.MULTILINE):
            exec(line, {})  # our own words
