"""Proxies, further headers, authorities, certificates besides another proof, and connections that went stale."""

from pathlib import Path
from typing import Any

import pytest

from mintonce_server.core.errors import IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.issuer import ClientCredentials, EndpointSources, load_client_certificate
from support.endpoints import CLIENT_ID, SECRET, IssuerAt
from support.tls import Authority
from support.web import Reply, Request, connect_proxy, socks_proxy, web

KEY = TokenKey.of("orders", "https://api.example.com/")
TOKEN = b'{"access_token":"a","token_type":"Bearer","expires_in":60}'
NOWHERE = "login.example.invalid"


def grants(_: Request) -> Reply:
    return 200, {}, TOKEN


def through(proxy: str) -> EndpointSources:
    return EndpointSources(proxy=lambda _: Secret(proxy))


@pytest.mark.parametrize("user", ["", "mint:p%40ss@"])
async def test_a_mint_goes_through_an_http_proxy(issuer_at: IssuerAt, tmp_path: Path, user: str) -> None:
    """With TLS to the issuer inside of the tunnel: the proxy sees only the host. Its password may be encoded."""
    authority = Authority(tmp_path)
    async with web(grants, authority.server(NOWHERE)) as site, connect_proxy("mint:p@ss" if user else None) as proxy:
        port = site.url.rpartition(":")[2]
        issuer = issuer_at(
            f"https://{NOWHERE}:{port}/token",
            sources=through(f"http://{user}{proxy.address}"),
            ca_file=str(authority.ca),
        )
        assert (await issuer.mint(KEY)).lifetime == 60.0
        assert proxy.targets == [f"{NOWHERE}:{port}"]


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_a_mint_goes_through_a_socks_proxy(issuer_at: IssuerAt, tmp_path: Path, scheme: str) -> None:
    """The proxy resolves the name."""
    authority = Authority(tmp_path)
    async with web(grants, authority.server(NOWHERE)) as site, socks_proxy() as proxy:
        port = site.url.rpartition(":")[2]
        issuer = issuer_at(
            f"https://{NOWHERE}:{port}/token", sources=through(f"{scheme}://{proxy.address}"), ca_file=str(authority.ca)
        )
        assert (await issuer.mint(KEY)).lifetime == 60.0
        assert proxy.targets == [f"{NOWHERE}:{port}"]


async def test_a_proxy_with_tls_is_checked_with_the_same_authorities(
    issuer_at: IssuerAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables of the environment decide nothing: it may get a password."""
    for name in ("ours", "foreign"):
        (tmp_path / name).mkdir()
    ours, foreign = Authority(tmp_path / "ours"), Authority(tmp_path / "foreign")
    monkeypatch.setenv("SSL_CERT_FILE", str(foreign.ca))
    async with web(grants, ours.server(NOWHERE)) as site, connect_proxy(tls=ours.server()) as proxy:
        url = f"https://{NOWHERE}:{site.url.rpartition(':')[2]}/token"
        issuer = issuer_at(url, sources=through(f"https://{proxy.address}"), ca_file=str(ours.ca))
        assert (await issuer.mint(KEY)).lifetime == 60.0
    async with connect_proxy(tls=foreign.server()) as proxy:
        with pytest.raises(IssuerUnavailable, match=r"the proxy at 127\.0\.0\.1 is signed by an authority"):
            await issuer_at(
                f"https://{NOWHERE}/token", sources=through(f"https://{proxy.address}"), ca_file=str(ours.ca)
            ).mint(KEY)


async def test_a_proxy_that_wants_a_password_is_explained(issuer_at: IssuerAt) -> None:
    """Neither the proxy's own text nor the wrong password is repeated."""
    async with connect_proxy("mint:right") as proxy:
        sources = through(f"http://mint:a-wrong-one@{proxy.address}")
        with pytest.raises(IssuerUnavailable, match=r"the proxy at 127\.0\.0\.1 does not connect to .*407") as caught:
            await issuer_at(f"https://{NOWHERE}/token", sources=sources).mint(KEY)
    assert "proxy_file" in caught.value.remedy
    assert "secret reason" not in str(caught.value)
    assert "a-wrong-one" not in f"{caught.value} {caught.value.remedy}"


async def test_a_proxy_that_is_not_there_is_not_taken_for_the_issuer(issuer_at: IssuerAt) -> None:
    """The message names the proxy."""
    with pytest.raises(IssuerUnavailable, match=r"the proxy at 127\.0\.0\.1") as caught:
        await issuer_at(f"https://{NOWHERE}/token", sources=through("http://127.0.0.1:1")).mint(KEY)
    assert "proxy" in caught.value.remedy


async def test_a_proxy_may_be_replaced_while_the_service_runs(issuer_at: IssuerAt, tmp_path: Path) -> None:
    """The next mint uses the new one."""
    authority = Authority(tmp_path)
    async with web(grants, authority.server(NOWHERE)) as site, connect_proxy() as first, connect_proxy() as second:
        current = [first]
        sources = EndpointSources(proxy=lambda _: Secret(f"http://{current[0].address}"))
        url = f"https://{NOWHERE}:{site.url.rpartition(':')[2]}/token"
        issuer = issuer_at(url, sources=sources, ca_file=str(authority.ca))
        await issuer.mint(KEY)
        current[0] = second
        await issuer.mint(KEY)
        assert len(first.targets) == len(second.targets) == 1


async def test_further_headers_are_sent_and_replace_none_of_ours(issuer_at: IssuerAt) -> None:
    """An API gateway may want a key, and it may change while the service runs."""
    keys = ["one", "two"]
    sources = EndpointSources(headers=lambda: {"X-Api-Key": Secret(keys[0]), "Content-Type": Secret("text/plain")})
    async with web(grants) as site:
        issuer = issuer_at(f"{site.url}/token", sources=sources)
        await issuer.mint(KEY)
        keys.pop(0)
        await issuer.mint(KEY)
    assert [request.headers["x-api-key"] for request in site.requests] == ["one", "two"]
    assert {request.headers["content-type"] for request in site.requests} == {"application/json"}


async def test_a_certificate_is_presented_besides_another_proof(issuer_at: IssuerAt, tmp_path: Path) -> None:
    """A server that wants both, as financial APIs do."""
    authority = Authority(tmp_path)
    cert, key = (path.read_bytes() for path in authority.client())
    certificate = load_client_certificate(cert, key)
    credentials = ClientCredentials(CLIENT_ID, Secret(SECRET), certificate=lambda: certificate)
    async with web(grants, authority.server(wants_certificate=True)) as site:
        issuer = issuer_at(f"{site.url}/token", credentials, ca_file=str(authority.ca))
        assert (await issuer.mint(KEY)).lifetime == 60.0
        assert SECRET.encode() in site.requests[0].body
        with pytest.raises(IssuerUnavailable):
            await issuer_at(f"{site.url}/token", ca_file=str(authority.ca)).mint(KEY)


async def test_another_certificate_is_another_credential(issuer_at: IssuerAt, tmp_path: Path) -> None:
    """A refusal of the one before holds no longer."""
    certificates = [
        load_client_certificate(*(path.read_bytes() for path in Authority(tmp_path).client())) for _ in range(2)
    ]
    credentials = ClientCredentials(CLIENT_ID, Secret(SECRET), certificate=lambda: certificates[0])
    issuer = issuer_at("https://login.example.com/t", credentials)
    before = issuer.proof()
    certificates.reverse()
    assert issuer.proof() != before


async def test_a_request_on_a_connection_that_was_just_closed_is_sent_once_more(issuer_at: IssuerAt) -> None:
    """No byte came back on a kept connection: the new try has a new one."""
    async with web(grants) as site:
        issuer = issuer_at(f"{site.url}/token")
        await issuer.mint(KEY)
        site.hang_up = {1}
        assert (await issuer.mint(KEY)).lifetime == 60.0
    assert [request.connection for request in site.requests] == [0, 0, 1]


@pytest.mark.parametrize(("hang_up", "posts"), [({0}, 1), ({1, 2}, 3)], ids=["a new connection", "twice"])
async def test_a_request_is_not_sent_more_than_once_more(issuer_at: IssuerAt, hang_up: set[int], posts: int) -> None:
    """A server that closes a new connection has taken the request: it may have minted."""
    async with web(grants) as site:
        issuer = issuer_at(f"{site.url}/token")
        if 0 not in hang_up:
            await issuer.mint(KEY)
        site.hang_up = hang_up
        with pytest.raises(IssuerUnavailable):
            await issuer.mint(KEY)
    assert len(site.requests) == posts


@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 OK\r\nX-Request-Id: 1", b"HTTP/1.1 100 Continue\r\n\r\n", b"\0"])
async def test_an_answer_that_has_begun_is_not_asked_for_again(issuer_at: IssuerAt, begun: bytes) -> None:
    """One byte is enough: the issuer has taken the request."""
    async with web(grants) as site:
        issuer = issuer_at(f"{site.url}/t")
        await issuer.mint(KEY)
        site.hang_up, site.first_bytes = {1}, begun
        with pytest.raises(IssuerUnavailable):
            await issuer.mint(KEY)
    assert len(site.requests) == 2


async def test_an_answer_that_does_not_come_in_time_is_not_asked_for_again(
    issuer_at: IssuerAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stale connection breaks at once; one that breaks later may have been at work."""
    monkeypatch.setattr("mintonce_server.issuer.http.STALE_WITHIN", 0.0)
    async with web(grants) as site:
        issuer = issuer_at(f"{site.url}/t")
        await issuer.mint(KEY)
        site.hang_up = {1}
        with pytest.raises(IssuerUnavailable):
            await issuer.mint(KEY)
    assert len(site.requests) == 2


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_through_a_proxy_a_new_connection_is_not_stale(issuer_at: IssuerAt, tmp_path: Path, kind: str) -> None:
    """Of each kind: an issuer that breaks off gets one POST."""
    authority = Authority(tmp_path)
    way = socks_proxy() if kind == "socks5" else connect_proxy()
    async with web(grants, authority.server(NOWHERE)) as site, way as proxy:
        site.hang_up = {0}
        url = f"https://{NOWHERE}:{site.url.rpartition(':')[2]}/t"
        issuer = issuer_at(url, sources=through(f"{kind}://{proxy.address}"), ca_file=str(authority.ca))
        with pytest.raises(IssuerUnavailable):
            await issuer.mint(KEY)
    assert len(site.requests) == 1


async def test_a_file_of_authorities_may_stand_beside_the_systems(
    issuer_at: IssuerAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that inspects TLS has an authority of its own; other hosts have a public one."""
    (tmp_path / "private").mkdir()
    (tmp_path / "system").mkdir()
    private, system = Authority(tmp_path / "private"), Authority(tmp_path / "system")
    paths: Any = type("Paths", (), {"openssl_cafile": str(system.ca), "openssl_capath": "/nowhere"})
    monkeypatch.setattr("mintonce_server.common.trust.ssl.get_default_verify_paths", lambda: paths)
    async with web(grants, private.server()) as first, web(grants, system.server()) as second:
        for site in (first, second):
            both = issuer_at(f"{site.url}/token", ca_file=str(private.ca), system_authorities=True)
            assert (await both.mint(KEY)).lifetime == 60.0
        with pytest.raises(IssuerUnavailable, match="not trusted"):
            await issuer_at(f"{second.url}/token", ca_file=str(private.ca)).mint(KEY)
        assert (await issuer_at(f"{second.url}/token").mint(KEY)).lifetime == 60.0
