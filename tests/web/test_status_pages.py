"""Who may see the status page and its JSON, what of it, and what the audit log says of that."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from mintonce_server.auth.api_keys import new_api_key, parse_api_keys
from mintonce_server.auth.identify import Identifier
from mintonce_server.core.errors import AuditUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.key_survey import MaySee
from mintonce_server.core.policy import OPEN, Act, Policy, Rule
from mintonce_server.core.status import IssuerRow, KeyFilter, Keys, StatusSnapshot
from mintonce_server.observability.audit import CallRecord
from mintonce_server.web.guard import Guard
from mintonce_server.web.listener import WebListener
from mintonce_server.web.page import POLICY
from mintonce_server.web.pages import LIMITS
from mintonce_server.web.pages import Pages as Site
from mintonce_server.web.status import StatusPages
from support.clocks import ManualClock
from support.html import parsed
from support.samples import KEY
from support.snapshots import REFUSED, busy

KEYS = {name: new_api_key(name) for name in ("boss", "clerk", "cart")}
POLICY_OF_THESE = Policy(
    [
        Rule("all", ("key:boss",), ("*",), ("*",), ("*",), frozenset({Act.ADMIN})),
        Rule("billing", ("key:clerk",), ("billing",), ("*",), ("*",), frozenset({Act.ADMIN})),
        Rule("tokens", ("key:cart",), ("*",), ("*",), ("*",), frozenset({Act.GET})),
    ]
)


class Pages:
    """The pages behind a real listener, over values that a test chooses."""

    def __init__(self, *, guarded: bool) -> None:
        self.clock = ManualClock()
        self.records: list[CallRecord] = []
        self.is_full = False
        self.snapshot = busy()
        self.asked: list[KeyFilter] = []
        self.may_see: list[MaySee] = []
        keys = parse_api_keys("\n".join(["[keys]", *(line for _, line in KEYS.values())]).encode())
        identify = Identifier(frozenset(), [], lambda: keys, self.clock).identify if guarded else None
        guard = Guard(identify, lambda: POLICY_OF_THESE if guarded else OPEN)
        routes = StatusPages(self._take, guard, self.clock, self._audit).routes()
        self.listener = WebListener(
            "127.0.0.1:0", Site(routes, self.clock, frozenset), self.clock, LIMITS, socket_mode=0o600
        )

    async def _take(self, wanted: KeyFilter, may_see: MaySee) -> StatusSnapshot:
        self.asked.append(wanted)
        self.may_see.append(may_see)
        rows = tuple(row for row in self.snapshot.keys.rows if may_see(TokenKey(row.client, row.audience, row.scopes)))
        return replace(self.snapshot, findings=(), keys=replace(self.snapshot.keys, rows=rows))

    def _audit(self, record: CallRecord) -> None:
        if self.is_full:
            raise AuditUnavailable("the disk is full", remedy="Make room for /var/log/audit.jsonl.")
        self.records.append(record)

    async def get(self, path: str, caller: str = "", method: str = "GET") -> httpx.Response:
        """`caller`: whose API key is shown, as a browser does."""
        headers: dict[str, str] = {}
        if caller:
            basic = base64.b64encode(f"anyone:{KEYS[caller][0].reveal()}".encode()).decode()
            headers["Authorization"] = f"Basic {basic}"
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.request(method, f"{self.url}{path}", headers=headers)

    async def __aenter__(self) -> "Pages":
        self.url = await self.listener.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listener.stop(1.0)


@pytest_asyncio.fixture
async def pages() -> AsyncIterator[Pages]:
    """Callers need no identity."""
    async with Pages(guarded=False) as running:
        yield running


@pytest_asyncio.fixture
async def guarded() -> AsyncIterator[Pages]:
    """Callers have API keys."""
    async with Pages(guarded=True) as running:
        yield running


async def test_the_root_leads_to_the_page(pages: Pages) -> None:
    """What people type."""
    answer = await pages.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/status")


async def test_the_page_is_html_that_runs_nothing_from_elsewhere(pages: Pages) -> None:
    """And is neither stored nor framed."""
    answer = await pages.get("/status")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-encoding"] in ("gzip", "deflate")
    assert parsed(answer.text).findtext("head/title") == "1 thing needs you. Mintonce mintonce-7d9f-x2k"


async def test_a_fragment_is_the_page_without_its_frame(pages: Pages) -> None:
    """What a browser asks for every five seconds."""
    whole, part = (await pages.get("/status")).text, (await pages.get("/status?fragment=1")).text
    assert part.startswith("<main ")
    assert part.endswith("</main>")
    assert part in whole


async def test_the_json_says_the_same(pages: Pages) -> None:
    """For `mintonce top`, and for scripts."""
    answer = await pages.get("/status.json")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    body: dict[str, Any] = answer.json()
    assert (body["v"], body["sentence"], len(body["keys"]["rows"])) == (1, "1 thing needs you.", 9)


async def test_it_is_read_only(pages: Pages) -> None:
    """HEAD has no body; anything else is refused."""
    head = await pages.get("/status", method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert (await pages.get("/status", method="POST")).status_code == 405


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("?client=billing&state=back-off&find=api", KeyFilter("billing", "back-off", "api")),
        ("?state=nonsense", KeyFilter()),
        (f"?find={'x' * 500}", KeyFilter(find="x" * 200)),
        ("?client=%3Cb%3E&client=second", KeyFilter(client="<b>")),
    ],
)
async def test_the_filter_is_in_the_address(pages: Pages, query: str, wanted: KeyFilter) -> None:
    """What is not understood is left out."""
    assert (await pages.get(f"/status{query}")).status_code == 200
    assert pages.asked == [wanted]


@pytest.mark.parametrize(
    ("refresh", "seconds"),
    [("60", "60"), ("0", "2"), ("99999", "3600"), ("999999999999", None), ("-1", None), ("x", None)],
)
async def test_a_page_without_javascript_refreshes_at_a_sane_rate(
    pages: Pages, refresh: str, seconds: str | None
) -> None:
    """Whatever its address says."""
    head = parsed((await pages.get(f"/status?refresh={refresh}")).text).find("head")
    assert head is not None
    found = [each.get("content") for each in head.iter("meta") if each.get("http-equiv") == "refresh"]
    assert found == ([seconds] if seconds else [])


async def test_without_an_identity_there_is_no_page(guarded: Pages) -> None:
    """The browser asks for a key. The refusal is audited, and so is a caller that administers nothing."""
    for path in ("/status", "/status?fragment=1", "/status.json"):
        answer = await guarded.get(path)
        assert (answer.status_code, "Basic" in answer.headers["www-authenticate"]) == (401, True)
        assert (await guarded.get(path, "cart")).status_code == 403
    assert guarded.asked == []
    assert [(record.caller, record.decision, record.reason) for record in guarded.records] == [
        ("unknown", "unauthenticated", "UNAUTHENTICATED"),
        ("key:cart", "deny", "PERMISSION_DENIED"),
    ] * 3


async def test_an_administrator_of_some_clients_sees_only_those(guarded: Pages) -> None:
    """Keys by the policy; nothing of other clients, issuers, events and callers, not even a finding."""
    assert (await guarded.get("/status", "boss")).status_code == 200
    text = (await guarded.get("/status", "clerk")).text
    assert "reports" not in text
    assert "partner" not in text
    assert "cart" not in text
    assert "All is well." in text
    assert "billing" in text
    body: dict[str, Any] = (await guarded.get("/status.json", "clerk")).json()
    assert (body["files"], body["mints"]["by_cause"]) == ([], {})  # both are about all clients
    boss, clerk, _ = guarded.may_see
    others = replace(KEY, client="reports")
    assert (boss(KEY), boss(others), clerk(KEY), clerk(others)) == (True, True, True, False)


async def test_of_an_issuer_that_others_use_too_only_the_own_clients_failures_are_seen(guarded: Pages) -> None:
    """It refuses `reports` and serves `billing`: who administers `billing` sees an issuer that is well."""
    whole = guarded.snapshot
    billing, reports = whole.clients
    acme = IssuerRow("acme", 12.0, REFUSED, whole.issuers[0].latency, 1494, 6)
    guarded.snapshot = replace(whole, clients=(billing, replace(reports, issuer="acme")), issuers=(acme,))
    body: dict[str, Any] = (await guarded.get("/status.json", "clerk")).json()
    (row,) = body["issuers"]
    assert (row["name"], row["failed"], row["posts"], row["failures"]) == ("acme", None, 1176, 0)
    assert (body["sentence"], body["findings"]) == ("All is well.", [])
    assert "partner" not in json.dumps(body)
    assert (await guarded.get("/status.json", "boss")).json()["issuers"][0]["failures"] == 6


async def test_an_own_failure_at_a_shared_issuer_is_seen(guarded: Pages) -> None:
    """Though another client of it was served since."""
    whole = guarded.snapshot
    billing, reports = whole.clients
    mine = replace(billing, failed=REFUSED, failures=6, succeeded_ago=900.0)
    acme = IssuerRow("acme", 3.0, replace(REFUSED, lasting=False), whole.issuers[0].latency, 1494, 6)
    guarded.snapshot = replace(whole, clients=(mine, replace(reports, issuer="acme", failed=None)), issuers=(acme,))
    body: dict[str, Any] = (await guarded.get("/status.json", "clerk")).json()
    (row,) = body["issuers"]
    assert (row["failed"]["lasting"], row["failures"], row["succeeded_ago"]) == (True, 6, 900.0)
    assert [each["level"] for each in body["findings"]] == ["trouble"]


async def test_each_view_is_audited_and_a_page_that_refreshes_itself_once_a_minute(guarded: Pages) -> None:
    """Seven hundred lines an hour would say no more."""
    await guarded.get("/status", "boss")
    await guarded.get("/status", "boss")
    for _ in range(5):
        await guarded.get("/status?fragment=1", "boss")
    assert [(record.caller, record.act, record.decision, record.detail) for record in guarded.records] == [
        ("key:boss", "admin", "allow", "/status")
    ] * 3
    assert guarded.records[0].peer.startswith("ipv4:127.0.0.1:")
    guarded.clock.advance(61.0)
    await guarded.get("/status?fragment=1", "boss")
    await guarded.get("/status.json", "boss")
    assert [record.detail for record in guarded.records[3:]] == ["/status", "/status.json"]


async def test_a_view_that_cannot_be_audited_is_not_given(guarded: Pages) -> None:
    """As with tokens."""
    guarded.is_full = True
    answer = await guarded.get("/status", "boss")
    assert answer.status_code == 503
    assert "The server's log says what" in answer.text
    assert "/var" not in answer.text
    assert "billing" not in answer.text


@pytest.mark.parametrize("path", ["/status?fragment=1", "/status.json"])
async def test_asking_again_does_not_get_around_the_audit_log(guarded: Pages, path: str) -> None:
    """What is written once a minute counts as written only when it was."""
    guarded.is_full = True
    assert [(await guarded.get(path, "boss")).status_code for _ in range(2)] == [503, 503]


async def test_the_json_is_one_line_that_any_reader_takes(pages: Pages) -> None:
    """Whatever an audience has in it."""
    row = replace(pages.snapshot.keys.rows[0], audience="https://ümläut.example/\u2028</script>")
    pages.snapshot = replace(pages.snapshot, keys=Keys((row,), 1, 1))
    text = (await pages.get("/status.json")).text
    assert text.count("\n") == 1
    assert text.isascii()
    assert json.loads(text)["keys"]["rows"][0]["audience"] == row.audience
