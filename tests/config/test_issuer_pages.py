"""The pages in docs/operating/issuers: what people copy from them can be used."""

import json
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from mintonce_server.config import load
from mintonce_server.config.profiles import PROFILES, PROVIDERS

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = ROOT / "docs" / "operating" / "issuers"
RESULTS: Final = ROOT / "verification" / "interop" / "results" / "issuers.json"
MAX_LINES: Final = 60
SECRET_FILE: Final = "client-secret"


def page(provider: str) -> str:
    return (PAGES / f"{provider}.md").read_text()


def test_each_provider_has_a_page_and_the_index_leads_to_it() -> None:
    """And no other has."""
    index = (PAGES / "README.md").read_text()
    assert {file.stem for file in PAGES.glob("*.md")} == {"README", *PROVIDERS}
    assert set(re.findall(r"\(([a-z0-9-]+)\.md\) \| `\1`", index)) == set(PROVIDERS)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_settings_of_a_page_can_be_used(tmp_path: Path, provider: str) -> None:
    """With a store and the file of the secret, they are all that is needed."""
    example = re.findall(r"^```toml\n(.*?)^```$", page(provider), re.DOTALL | re.MULTILINE)[0]
    for name, text in (("mintonce.toml", f'redis.url = "redis://127.0.0.1:6379"\n{example}'), (SECRET_FILE, "secret")):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(text)
    settings = load(tmp_path / "mintonce.toml", {})
    assert [issuer.provider for issuer in settings.issuers.values()] == [provider]
    assert tomllib.loads(example)["clients"]["billing"]["client_secret_files"] == [SECRET_FILE]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_page_names_each_default_of_its_profile(provider: str) -> None:
    """With its value, as `mintonced settings --effective` prints it."""
    for name, value in PROFILES[provider].settings.items():
        assert f'`{name} = "{value}"`'.replace("{domain}", "DOMAIN") in page(provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_page_is_short_and_says_where_it_comes_from(provider: str) -> None:
    """The version that `make interop` ran last, or the vendor's documentation."""
    text = page(provider)
    assert len(text.splitlines()) <= MAX_LINES
    run = next((run for name, run in json.loads(RESULTS.read_text()).items() if name.endswith(provider)), None)
    if run is None:
        assert re.search(r"^Made from the vendor's documentation of \w+ \d{4}, not run here\.$", text, re.MULTILINE)
    else:
        assert re.search(rf"un by `make interop` with .*{re.escape(run['rows'][0]['version'])}\b", text)
