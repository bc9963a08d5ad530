"""The proxy and the secret headers of an issuer come from files, and may change without a restart."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mintonce_server.config import load
from mintonce_server.core.errors import MintonceError
from mintonce_server.issuer import EndpointSources
from mintonce_server.reload.access import AccessFiles
from mintonce_server.reload.files import Reloader
from mintonce_server.reload.issuer_files import issuer_sources
from support.clocks import ManualClock

URL = "https://login.example.com/token"
TOML = """
[redis]
url = "redis://127.0.0.1:1"

[clients.a]
issuer = "i"
client_id = "a"
client_secret = "secret"

[issuers.i]
token_url = "https://login.example.com/token"
"""


class Sources:
    """An issuer's sources, and what happens to them."""

    def __init__(self, directory: Path, text: str) -> None:
        config = directory / "mintonce.toml"
        config.touch(mode=0o600)
        config.write_text(TOML + text)
        settings = load(config, {})
        files = AccessFiles(settings, ManualClock())
        self.now: EndpointSources = issuer_sources("i", settings.issuers["i"], files)
        self.trouble: list[MintonceError] = []
        self.reloader = Reloader(
            files.values,
            ManualClock(),
            on_loaded=lambda _: None,
            on_error=lambda _, error: self.trouble.append(error),
        )

    async def proxy(self) -> str | None:
        await self.reloader.check()
        found = self.now.proxy(URL)
        return found.reveal() if found is not None else None

    async def headers(self) -> dict[str, str]:
        await self.reloader.check()
        return {name: text.reveal() for name, text in self.now.headers().items()}


Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(name: str, text: str) -> Path:
        path = tmp_path / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    return to


async def test_a_proxy_with_a_password_comes_from_a_file(tmp_path: Path, write: Write) -> None:
    """A new one counts at once; an unusable one is reported without its text, and the old one stays."""
    write("proxy", "http://mint:one@proxy:3128\n")
    sources = Sources(tmp_path, 'proxy_file = "proxy"')
    assert await sources.proxy() == "http://mint:one@proxy:3128"
    write("proxy", "socks5h://mint:two@proxy:1080")
    assert await sources.proxy() == "socks5h://mint:two@proxy:1080"
    for wrong in ("a-canary", "ftp://u:a-canary@proxy:1", "environment", "http://u:a-canary@proxy:1/path"):
        write("proxy", wrong)
        assert await sources.proxy() == "socks5h://mint:two@proxy:1080"
        assert "is not the URL of a proxy" in str(sources.trouble[-1])
        assert "canary" not in f"{sources.trouble[-1]} {sources.trouble[-1].remedy} {sources.trouble[-1].__context__}"


async def test_secret_headers_come_from_files(tmp_path: Path, write: Write) -> None:
    """Beside those in the settings."""
    write("key", "one")
    sources = Sources(tmp_path, 'headers = {X-Tenant = "t"}\nheader_files = {X-Api-Key = "key"}')
    assert await sources.headers() == {"X-Tenant": "t", "X-Api-Key": "one"}
    write("key", "two")
    assert await sources.headers() == {"X-Tenant": "t", "X-Api-Key": "two"}
    write("key", "a-canary ä")
    assert await sources.headers() == {"X-Tenant": "t", "X-Api-Key": "two"}
    assert "canary" not in str(sources.trouble[-1])


async def test_the_environment_names_a_proxy_only_if_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`proxy = "environment"`; otherwise variables of the shell change nothing."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "other.example.com")
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert await Sources(tmp_path, "").proxy() is None
    sources = Sources(tmp_path, 'proxy = "environment"')
    assert await sources.proxy() == "http://proxy:3128"
    assert sources.now.proxy("https://other.example.com/token") is None


@pytest.mark.parametrize("wrong", ["http://user:a-canary@[bad:3128", "ftp://proxy:1", "http://proxy:99999"])
def test_a_variable_that_names_no_proxy_is_found_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """And not at the first mint; its text is not repeated."""
    monkeypatch.setenv("HTTPS_PROXY", wrong)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(MintonceError, match="does not hold the URL") as caught:
        Sources(tmp_path, 'proxy = "environment"')
    assert "HTTPS_PROXY" in caught.value.remedy
    assert "canary" not in f"{caught.value} {caught.value.remedy} {caught.value.__context__}"


async def test_a_fixed_proxy_is_used_for_every_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY belongs to the environment's proxy."""
    monkeypatch.setenv("NO_PROXY", "*")
    assert await Sources(tmp_path, 'proxy = "socks5://proxy:1080"').proxy() == "socks5://proxy:1080"
