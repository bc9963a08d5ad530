"""Mints over HTTP from the strict practice issuer."""

import logging
import traceback

import pytest

from mintonce_server.core.errors import IssuerRefused, IssuerThrottled, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.issuer import ClientCredentials
from support.clocks import ManualClock
from support.endpoints import CLIENT_ID, SECRET, IssuerAt
from support.faulty_issuer import Fault, FaultyIssuer

KEY = TokenKey.of("orders", "https://api.example.com/", ["read"])


async def test_a_mint_is_one_post(issuer_at: IssuerAt, practice: FaultyIssuer, clock: ManualClock) -> None:
    """And it carries the key's audience and scopes."""
    minted = await issuer_at(practice.token_url).mint(KEY)
    assert minted.lifetime == 86399.0  # its `iat` and `exp` are in whole seconds
    assert minted.started_at == clock.monotonic()
    assert minted.scopes == ("read",)
    (post,) = practice.log()
    assert (post.client_id, post.audience, post.scope, post.status) == (CLIENT_ID, KEY.audience, "read", 200)


async def test_a_wrong_secret_is_refused(issuer_at: IssuerAt, practice: FaultyIssuer) -> None:
    """With the issuer's code, and no secret in anything that can be printed."""
    issuer = issuer_at(practice.token_url, ClientCredentials(CLIENT_ID, Secret("wr0ng-secret")))
    with pytest.raises(IssuerRefused) as caught:
        await issuer.mint(KEY)
    assert caught.value.issuer_error == "access_denied"
    assert "wr0ng-secret" not in "".join(traceback.format_exception(caught.value))


async def test_a_rotated_secret_counts_at_the_next_mint(issuer_at: IssuerAt, practice: FaultyIssuer) -> None:
    """The source is called each time."""
    secrets = iter([Secret("old"), Secret(SECRET)])
    issuer = issuer_at(practice.token_url, ClientCredentials(CLIENT_ID, lambda: next(secrets)))
    with pytest.raises(IssuerRefused):
        await issuer.mint(KEY)
    assert (await issuer.mint(KEY)).access_token


async def test_extra_claims_reach_the_issuer_beside_the_contract(issuer_at: IssuerAt, practice: FaultyIssuer) -> None:
    """The strict issuer accepts them."""
    credentials = ClientCredentials(CLIENT_ID, Secret(SECRET), {"organization": "org_1", "roles": ["a"]})
    assert (await issuer_at(practice.token_url, credentials).mint(KEY)).access_token


async def test_a_form_is_refused_with_a_hint_at_the_dialect(issuer_at: IssuerAt, practice: FaultyIssuer) -> None:
    """The wrong `request` setting is found at once."""
    with pytest.raises(IssuerRefused) as caught:
        await issuer_at(practice.token_url, request="form").mint(KEY)
    assert '"json"' in caught.value.remedy


async def test_a_wrong_path_is_refused_with_a_hint_at_the_url(issuer_at: IssuerAt, practice: FaultyIssuer) -> None:
    """404 has a remedy."""
    with pytest.raises(IssuerRefused, match="404") as caught:
        await issuer_at(practice.url + "/token").mint(KEY)
    assert "token_url" in caught.value.remedy


async def test_throttling_says_for_how_long(issuer_at: IssuerAt, practice: FaultyIssuer) -> None:
    """Retry-After of a 429."""
    practice.fault = Fault(status=429, retry_after="17")
    with pytest.raises(IssuerThrottled) as caught:
        await issuer_at(practice.token_url).mint(KEY)
    assert caught.value.retry_after == 17.0


async def test_a_hanging_issuer_is_given_up_at_the_deadline(issuer_at: IssuerAt, practice: FaultyIssuer) -> None:
    """One deadline limits the whole mint."""
    practice.fault = Fault(hang=True)
    with pytest.raises(IssuerUnavailable, match=r"127\.0\.0\.1 did not answer within 0\.5 s"):
        await issuer_at(practice.token_url, timeout=0.5).mint(KEY)
    assert practice.posts == 1


async def test_one_connection_serves_one_mint_after_the_other(issuer_at: IssuerAt, practice: FaultyIssuer) -> None:
    """The pool keeps it."""
    issuer = issuer_at(practice.token_url)
    practice.fault = Fault(status=500, times=1)
    with pytest.raises(IssuerUnavailable):
        await issuer.mint(KEY)
    assert (await issuer.mint(KEY)).access_token


@pytest.mark.parametrize("auth", ["client_secret_post", "client_secret_basic"])
async def test_nothing_secret_is_logged_at_any_level(
    issuer_at: IssuerAt, practice: FaultyIssuer, caplog: pytest.LogCaptureFixture, auth: str
) -> None:
    """Neither by us, nor by the libraries below, which log header values at DEBUG."""
    caplog.set_level(logging.DEBUG)
    practice.fault = Fault(status=200, body='{"access_token":"t0ken-text","expires_in":60}')
    minted = await issuer_at(practice.token_url, auth=auth).mint(KEY)
    assert minted.access_token.reveal() == "t0ken-text"
    for text in ("t0ken-text", SECRET, "Basic ", practice.token_url):
        assert text not in caplog.text
