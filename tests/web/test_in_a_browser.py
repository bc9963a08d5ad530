"""The status page of a real server, in a real browser. With MINTONCE_SCREENSHOTS=DIR the pictures go there."""

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from mintonce import AsyncTokenClient, MintonceError, Token
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.common.clock import SystemClock
from mintonce_server.core.policy import OPEN
from mintonce_server.core.status import StatusSnapshot
from mintonce_server.web.guard import Guard
from mintonce_server.web.listener import WebListener
from mintonce_server.web.pages import LIMITS, Pages
from mintonce_server.web.status import StatusPages
from support.browser import NARROW, WIDE, Browser
from support.faulty_issuer import Fault, FaultyIssuer
from support.replicas import Replica, replica
from support.snapshots import busy
from support.surroundings import CLIENT_ID, CLIENT_SECRET, issuer_with_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

NOW = "document.dispatchEvent(new Event('visibilitychange'))"
"""Refreshes the page at once, as coming back to its tab does."""

CUT_OFF = """[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth)
    .map(box => box.getAttribute('aria-label'))"""

LIVES = {"api": 86_400, "orders": 7200, "prices": 2400, "stock": 28_800}
"""Seconds, by the first part of an audience's host."""

SETTINGS = """
[http]
listen = "127.0.0.1:0"

[issuers.acme]
token_url = "{acme}"
request = "json"
[issuers.partner]
token_url = "{partner}"
request = "json"

[clients.billing]
issuer = "acme"
client_id = "{id}"
client_secret_files = ["{secret}"]
[clients.reports]
issuer = "partner"
client_id = "{id}"
client_secret_files = ["{secret}"]
"""


@dataclass
class Scene:
    """A server with two issuers, and what its page is at."""

    server: Replica
    client: AsyncTokenClient
    acme: FaultyIssuer
    partner: FaultyIssuer
    valkey: EmbeddedValkey
    pictures: Path

    @property
    def url(self) -> str:
        return f"{self.server.events('serving')[0]['http']}/status"

    async def tokens(self) -> list[Token]:
        """As after some work: live tokens of different lives, which callers use, one of them new after a rejection."""
        found: list[Token] = []
        for name, lifetime in LIVES.items():
            self.acme.fault = Fault(expires_in=str(lifetime))
            key = ("billing", f"https://{name}.example.com/", ["read"])
            found += [await self.client.get(*key), await self.client.get(*key)]
        for _ in range(40):
            await self.client.get("reports", "https://reports.partner.example/", ["read"])
        await self.client.reject("billing", "https://stock.example.com/", ["read"], generation=found[-1].generation)
        found.append(await self.client.get("billing", "https://stock.example.com/", ["read"]))
        return found

    async def picture(self, browser: Browser, name: str) -> None:
        """For the documents: the top of the page."""
        await browser.evaluate("scrollTo(0, 0)")
        await browser.resize(1040, 1180)
        await browser.screenshot(self.pictures / f"status-{name}.png")
        await browser.resize(WIDE)


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    pictures = Path(os.environ.get("MINTONCE_SCREENSHOTS") or tmp_path)
    config, secret = tmp_path / "mintonce.toml", tmp_path / "secret"
    secret.write_text(CLIENT_SECRET)
    secret.chmod(0o600)
    with (
        issuer_with_log(tmp_path / "acme.jsonl", lifetime=86_400.0) as acme,
        issuer_with_log(tmp_path / "partner.jsonl", lifetime=3600.0) as partner,
    ):
        async with EmbeddedValkey(tmp_path / "valkey", persist=False) as valkey:
            values = {"acme": acme.token_url, "partner": partner.token_url, "id": CLIENT_ID, "secret": secret}
            config.write_text(SETTINGS.format(**values))
            settings = {"CONFIG": str(config), "REDIS_URL": valkey.url, "REDIS__TIMEOUT": "250ms"}
            async with replica(tmp_path, settings) as server, AsyncTokenClient(server.target) as client:
                yield Scene(server, client, acme, partner, valkey, pictures)
            os.kill(valkey.pid, signal.SIGCONT)  # a test may have stopped it


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as running:
        yield running


async def test_all_is_well_and_everybody_can_read_it(scene: Scene, browser: Browser) -> None:
    """Light and dark, wide and narrow; nothing that axe or the page's own policy objects to, and never a token."""
    tokens = await scene.tokens()
    for scheme in ("light", "dark"):
        assert await browser.open(scene.url, scheme=scheme) == 200
        assert (await browser.text(".sentence")).strip() == "All is well."
        assert "49 handed out, 6 POSTs since the start" in await browser.text("main")
        assert await browser.barriers() == []
        await scene.picture(browser, scheme)
        for width in (NARROW, WIDE // 2):  # half as wide: what 200 % zoom leaves
            await browser.resize(width)
            assert await browser.evaluate("document.documentElement.scrollWidth") <= width
            assert await browser.barriers() == []
        await browser.resize(NARROW)
        await browser.screenshot(scene.pictures / f"status-{scheme}-narrow.png")
        whole = await browser.evaluate("document.documentElement.outerHTML")
        assert not [token for token in tokens if token.access_token in whole]
        assert CLIENT_SECRET not in whole
        assert "orders.example.com" in whole
        assert await browser.said() == []


@pytest.mark.parametrize("width", [WIDE, 1024])
async def test_on_a_desk_no_table_is_cut_off(browser: Browser, width: int) -> None:
    """Not by long versions and addresses, nor by a caller's SPIFFE ID."""
    shown = busy()
    version = "0.1.0.dev989+g490e029fc.d20261129"
    fleet = tuple(replace(row, version=version, address=f"{row.id}.mintonce.internal:50051") for row in shown.fleet)
    shown = replace(shown, fleet=fleet)

    async def take(*_: object) -> StatusSnapshot:
        return shown

    pages = StatusPages(take, Guard(None, lambda: OPEN), SystemClock())
    site = Pages(pages.routes(), SystemClock(), frozenset)
    listener = WebListener("127.0.0.1:0", site, SystemClock(), LIMITS, socket_mode=0o600)
    url = await listener.start()
    try:
        assert await browser.open(f"{url}/status", width=width) == 200
        assert await browser.evaluate(CUT_OFF) == []
    finally:
        await listener.stop(0.0)


async def test_it_follows_what_happens_without_being_loaded_again(scene: Scene, browser: Browser) -> None:
    """Issuer, store and server fail one after the other. What a reader is doing is left alone."""
    tokens = await scene.tokens()
    await browser.open(scene.url)
    await browser.evaluate("window.mark = document.querySelector('#find'); window.mark.focus()")
    for letter in "api":
        await browser.press(letter)

    scene.partner.fault = Fault(status=401, body='{"error": "invalid_client"}')
    with pytest.raises(MintonceError):
        await scene.client.get("reports", "https://other.partner.example/")
    await browser.evaluate(NOW)
    await browser.until("document.querySelector('.sentence').innerText.includes('1 thing needs you.')")
    assert "refuses client “reports” (invalid_client)" in await browser.text("#verdict")
    assert await browser.evaluate("[...document.querySelectorAll('#verdict a')].map(a => a.hash)") == [
        "#the-issuer-refuses-the-client"
    ]
    assert "failing" in await browser.text("main")
    assert await browser.evaluate("document.title.startsWith('1 thing needs you.')")
    await scene.picture(browser, "issuer-refuses")

    await scene.client.reject("billing", "https://orders.example.com/", ["read"], generation=tokens[2].generation)
    os.kill(scene.valkey.pid, signal.SIGSTOP)
    with pytest.raises(MintonceError):
        await scene.client.reject("billing", "https://api.example.com/", ["read"], generation=tokens[0].generation)
    await browser.evaluate(NOW)
    await browser.until("document.querySelector('.sentence').innerText.includes('2 things need you.')")
    said = await browser.text("main")
    assert "The store has not answered" in said
    assert "rejected" in said
    assert "api.example.com" in said  # drawn from memory

    scene.server.process.send_signal(signal.SIGKILL)
    await scene.server.process.wait()
    await browser.evaluate(NOW)
    await browser.until("!document.querySelector('#stale').hidden")
    assert (await browser.text("#stale")).startswith("Not refreshed since ")
    assert await browser.evaluate("document.activeElement === window.mark && window.mark.isConnected")
    assert await browser.evaluate("window.mark.value") == "api"
    assert await browser.barriers() == []
    assert all("ERR_" in each or each.startswith("failed:") for each in await browser.said())  # the server is gone


async def test_the_keyboard_reaches_everything_in_the_order_of_reading(scene: Scene, browser: Browser) -> None:
    """First the way past the header, then the switch, then what stands below."""
    await scene.tokens()
    await browser.open(scene.url)
    await browser.evaluate("document.querySelector('#refresh').click()")  # nothing comes in between
    await browser.evaluate("document.activeElement.blur()")
    name = "(at => at === document.body ? '' : at.getAttribute('aria-label') || at.id || at.innerText)"
    everything = await browser.evaluate(
        f"[...document.querySelectorAll('a[href], input, select, button, [tabindex]')].map({name})"
    )
    reached: list[str] = []
    for _ in range(2 * len(everything)):
        await browser.press("Tab")
        if not (reached_now := await browser.evaluate(f"{name}(document.activeElement)")):
            break
        reached.append(reached_now)
    assert reached == everything
    assert reached[:3] == ["To the content", "refresh", "Mints by cause"]
    assert [each for each in reached if each in ("client", "state", "find", "Filter", "Keys")] == [
        "client",
        "state",
        "find",
        "Filter",
        "Keys",
    ]


async def test_the_switch_stops_it(scene: Scene, browser: Browser) -> None:
    """WCAG 2.2.2: what moves by itself can be stopped."""
    await scene.tokens()
    await browser.open(scene.url)
    asked = "performance.getEntriesByType('resource').filter(each => each.name.includes('fragment')).length"
    await browser.evaluate(NOW)
    await browser.until(f"{asked} === 1")
    await browser.evaluate("document.querySelector('#refresh').click()")
    await browser.evaluate(NOW)
    await browser.evaluate("new Promise(done => setTimeout(done, 300))")
    assert await browser.evaluate(asked) == 1
    await browser.evaluate("document.querySelector('#refresh').click()")
    await browser.until(f"{asked} === 2")


async def test_it_is_complete_without_javascript(scene: Scene, browser: Browser) -> None:
    """With a filter in its address. The switch is not offered: it would do nothing."""
    await scene.tokens()
    await browser.open(f"{scene.url}?client=billing&find=orders&refresh=60", script=False)
    rows = await browser.evaluate("[...document.querySelectorAll('tr[id]')].map(row => row.innerText)")
    assert len(rows) == 1
    assert rows[0].startswith("https://orders.example.com/")
    assert await browser.evaluate("document.querySelector('#refresh').checkVisibility()") is False
    assert await browser.evaluate("document.querySelector('#find').value") == "orders"
    assert await browser.said() == []
