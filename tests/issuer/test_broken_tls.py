"""TLS that breaks after the handshake costs one mint, and its connection."""

import asyncio
import traceback
from pathlib import Path

import pytest

from mintonce_server.core.errors import IssuerError, IssuerMalformed, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.issuer import http
from support.broken_tls import BREAKS, Version, broken_tls
from support.endpoints import SECRET, IssuerAt
from support.eventually import eventually
from support.tls import Authority

KEY = TokenKey.of("orders", "https://api.example.com/")
TOKEN = "a-token-" + "x" * 500
GOOD = b'{"access_token":"%s","token_type":"Bearer","expires_in":60}' % TOKEN.encode()
MORE_THAN_A_POOL = 25


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
@pytest.mark.parametrize("kind", BREAKS)
async def test_broken_tls_is_the_issuers_trouble(
    issuer_at: IssuerAt, tmp_path: Path, kind: str, version: Version
) -> None:
    """A typed error with its cause, and without any part of the token; the next mint has a new connection."""
    authority = Authority(tmp_path)
    async with broken_tls(authority.server(), GOOD, version) as peer:
        issuer = issuer_at(peer.url, ca_file=str(authority.ca), http2=version == "h2", timeout=1.0)
        assert (await issuer.mint(KEY)).lifetime == 60.0
        peer.breaks = BREAKS[kind]
        with pytest.raises(IssuerError) as caught:
            await issuer.mint(KEY)
        peer.breaks = None
        assert isinstance(caught.value, IssuerUnavailable | IssuerMalformed)
        assert caught.value.__cause__ is not None
        assert str(caught.value).isprintable()
        shown = "".join(traceback.format_exception(caught.value))
        assert TOKEN[:20] not in shown
        assert SECRET not in shown
        assert (await issuer.mint(KEY)).lifetime == 60.0
        await eventually(lambda: asyncio.sleep(0, peer.left), lambda left: left == 1)


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_broken_connections_leave_no_place_taken(issuer_at: IssuerAt, tmp_path: Path, version: Version) -> None:
    """With more broken connections than the pool has places, in sequence and in parallel."""
    authority = Authority(tmp_path)
    async with broken_tls(authority.server(), GOOD, version) as peer:
        issuer = issuer_at(peer.url, ca_file=str(authority.ca), http2=version == "h2", timeout=5.0)
        peer.breaks = BREAKS["a record of noise"]
        for _ in range(MORE_THAN_A_POOL):
            with pytest.raises(IssuerUnavailable):
                await issuer.mint(KEY)
        await asyncio.gather(*(issuer.mint(KEY) for _ in range(MORE_THAN_A_POOL)), return_exceptions=True)
        peer.breaks = None
        minted = await asyncio.gather(*(issuer.mint(KEY) for _ in range(MORE_THAN_A_POOL)))
        assert [mint.lifetime for mint in minted] == [60.0] * MORE_THAN_A_POOL


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_an_idle_connection_is_not_used_again(
    issuer_at: IssuerAt, tmp_path: Path, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall may have dropped it: a POST would hang until its deadline, and then be sent again."""
    assert http.KEEPALIVE_EXPIRY < 60.0
    monkeypatch.setattr(http, "KEEPALIVE_EXPIRY", 0.0)
    authority = Authority(tmp_path)
    async with broken_tls(authority.server(), GOOD, version) as peer:
        issuer = issuer_at(peer.url, ca_file=str(authority.ca), http2=version == "h2", timeout=5.0)
        for _ in range(3):
            assert (await issuer.mint(KEY)).lifetime == 60.0
            peer.forget()
        assert peer.requests == 3
