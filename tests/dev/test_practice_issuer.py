"""The practice issuer over HTTP."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mintonce_dev.contract import MAX_REQUEST
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.practice_log import render
from mintonce_server.core.secret import Secret

AUDIENCE = "https://api.example.com/"
SECRET = "s3cret-of-c"
CLIENTS = {"c": Secret(SECRET)}
GOOD = {"audience": AUDIENCE, "grant_type": "client_credentials", "client_id": "c", "client_secret": SECRET}


@pytest.fixture
def issuer() -> Iterator[PracticeIssuer]:
    with PracticeIssuer(CLIENTS) as running:
        yield running


def post(issuer: PracticeIssuer, **change: str) -> httpx.Response:
    return httpx.post(issuer.token_url, json=GOOD | change, trust_env=False)


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False)


def test_a_token_looks_like_the_contracts(issuer: PracticeIssuer) -> None:
    """Three parts, of which the second can be read."""
    answer = post(issuer, scope="read")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    fields = answer.json()
    assert (fields["token_type"], fields["expires_in"], fields["scope"]) == ("Bearer", 86400, "read")
    payload = fields["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (claims["aud"], claims["sub"], claims["exp"] - claims["iat"]) == (AUDIENCE, "c@clients", 86400)


def test_no_two_tokens_are_alike(issuer: PracticeIssuer) -> None:
    """Each mint is a new one."""
    assert post(issuer).json()["access_token"] != post(issuer).json()["access_token"]


def test_every_post_is_counted_and_refused_ones_mint_nothing(issuer: PracticeIssuer) -> None:
    """What the fleet is billed for, and what it asked."""
    assert [post(issuer).status_code, post(issuer, client_secret="wrong").status_code] == [200, 401]
    assert (issuer.posts, issuer.minted) == (2, 1)
    told = get(issuer.url + "/posts").json()
    assert (told["count"], told["minted"]) == (2, 1)
    assert [(one["client_id"], one["audience"], one["status"], bool(one["jti"])) for one in told["posts"]] == [
        ("c", AUDIENCE, 200, True),
        ("c", AUDIENCE, 401, False),
    ]


def test_the_count_survives_a_restart(tmp_path: Path) -> None:
    """With the same log, even if the last run was killed in the middle of a line."""
    log = tmp_path / "posts.jsonl"
    with PracticeIssuer(CLIENTS, log=log) as first:
        post(first)
        post(first)
    with log.open("a") as half:
        half.write('{"time": 17')
    with PracticeIssuer(CLIENTS, log=log) as second:
        post(second)
        assert (second.posts, second.minted) == (3, 3)
    with PracticeIssuer(CLIENTS, log=log) as third:
        assert third.posts == 3


def test_neither_secret_nor_token_is_written_down(tmp_path: Path) -> None:
    """Not in the log, not on the page, not in what scripts get."""
    log = tmp_path / "posts.jsonl"
    with PracticeIssuer(CLIENTS, log=log) as issuer:
        token: str = post(issuer).json()["access_token"]
        post(issuer, client_id="unknown")
        shown = log.read_text() + get(issuer.url + "/").text + get(issuer.url + "/posts").text
    assert AUDIENCE in shown
    assert token not in shown
    assert token.split(".")[2] not in shown
    assert SECRET not in shown


def test_the_page_escapes_what_callers_sent(issuer: PracticeIssuer) -> None:
    """Anybody on this machine can POST a script."""
    post(issuer, audience="<script>alert(1)</script>")
    page = get(issuer.url + "/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text


def test_an_empty_page_says_so() -> None:
    """A newcomer sees it first."""
    assert "No requests yet" in render([], count=0, minted=0, lifetime=60.0)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/oauth/token", 405),
        ("PUT", "/oauth/token", 405),
        ("POST", "/token", 404),
        ("GET", "/nothing", 404),
        ("HEAD", "/", 200),
        ("PATCH", "/", 405),
    ],
)
def test_other_paths_and_methods(issuer: PracticeIssuer, method: str, path: str, status: int) -> None:
    """There is one endpoint, and it takes POST; none of these counts."""
    assert httpx.request(method, issuer.url + path, trust_env=False).status_code == status
    assert issuer.posts == 0


def test_a_large_body_gets_its_answer(issuer: PracticeIssuer) -> None:
    """Rather than a reset connection."""
    answer = httpx.post(
        issuer.token_url,
        content=b" " * (8 * MAX_REQUEST),
        headers={"Content-Type": "application/json"},
        trust_env=False,
    )
    assert answer.status_code == 413


def test_a_body_without_a_length_is_refused(issuer: PracticeIssuer) -> None:
    """411: chunks are not read."""
    answer = httpx.post(issuer.token_url, content=iter([b"{}"]), trust_env=False)
    assert answer.status_code == 411


def test_audiences_can_have_lifetimes_of_their_own() -> None:
    """As at real OAuth domains, where each API has its own."""
    with PracticeIssuer(CLIENTS, lifetimes={"https://short-*": 3.0}) as issuer:
        assert post(issuer, audience="https://short-1/").json()["expires_in"] == 3
        assert post(issuer).json()["expires_in"] == 86_400


def test_it_has_no_faults() -> None:
    """The issuer of the tests has a switch for some: support/faulty_issuer.py."""
    with PracticeIssuer(CLIENTS) as issuer:
        assert httpx.put(issuer.url + "/fault", json={"status": 500}, trust_env=False).status_code == 404
        assert post(issuer).status_code == 200


def test_a_port_that_is_taken_is_an_os_error(issuer: PracticeIssuer, tmp_path: Path) -> None:
    """And leaves no file open."""
    with pytest.raises(OSError, match="in use"):
        PracticeIssuer(CLIENTS, log=tmp_path / "log", port=int(issuer.url.rpartition(":")[2]))


@pytest.mark.parametrize(("count", "said"), [(0, "with 0 POSTs to"), (1, "with 1 POST to"), (2, "with 2 POSTs to")])
def test_the_page_counts_in_english(count: int, said: str) -> None:
    """One is not plural."""
    assert said in render([], count=count, minted=count, lifetime=60.0)
