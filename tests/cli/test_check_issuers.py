"""`mintonced check` tries an issuer the way that the service would reach it."""

import json
from pathlib import Path

import pytest

from support.commands import Ended, mintonced
from support.tls import Authority
from support.topologies import single
from support.web import Reply, Request, connect_proxy, web

pytestmark = pytest.mark.slow  # each starts a store and a program or two

NOWHERE = "login.example.invalid"


async def check(tmp_path: Path, **settings: str) -> Ended:
    async with single(tmp_path / "redis") as topology:
        common = {
            "CLIENTS__A__ISSUER": "i",
            "CLIENTS__A__CLIENT_ID": "a",
            "CLIENTS__A__CLIENT_SECRET": "s",
            "REDIS_URL": topology.url,
            "REDIS__TIMEOUT": "5s",  # on a busy machine, a quarter of a second may pass
        }
        return await mintonced("check", directory=tmp_path, settings=common | settings)


def answers(_: Request) -> Reply:
    return 405, {}, b""


async def test_an_issuer_is_tried_through_its_proxy(tmp_path: Path) -> None:
    """Its name is unknown here: only the proxy finds it. The proxy's kind is not a secret, and no request mints."""
    authority = Authority(tmp_path)
    async with web(answers, authority.server(NOWHERE)) as site, connect_proxy() as proxy:
        port = site.url.rpartition(":")[2]
        settings = {
            "ISSUERS__I__TOKEN_URL": f"https://{NOWHERE}:{port}/token",
            "ISSUERS__I__CA_FILE": str(authority.ca),
        }
        through = await check(tmp_path, **settings, ISSUERS__I__PROXY=f"http://{proxy.address}")
        (tmp_path / "direct").mkdir()
        direct = await check(tmp_path / "direct", **settings)
    assert through.code == 0, through.out
    assert "through a proxy" in through.out
    assert [request.method for request in site.requests] == ["GET"]
    assert direct.code == 1
    assert "is not found" in direct.out


async def test_an_issuers_metadata_is_read(tmp_path: Path) -> None:
    """What does not fit is a fault with a remedy."""

    def handler(request: Request) -> Reply:
        origin = f"http://{request.headers['host']}"
        issuer = origin if "/other/" not in request.path else f"{origin}/another"
        return 200, {}, json.dumps({"issuer": issuer, "token_endpoint": f"{origin}/token"}).encode()

    async with web(handler) as site:
        fine = await check(tmp_path, ISSUERS__I__ISSUER=site.url)
        (tmp_path / "two").mkdir()
        other = await check(tmp_path / "two", ISSUERS__I__ISSUER=f"{site.url}/other/")
    assert fine.code == 0, fine.out
    assert other.code == 1
    assert "is of another issuer" in other.out
    assert "to the letter" in other.out
