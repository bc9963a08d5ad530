"""An issuer's metadata leads to the token endpoint, and never widens what the settings allow."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from mintonce_server.core.errors import IssuerError, IssuerMalformed, IssuerRefused, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.issuer import ClientCredentials, TokenEndpoint, load_client_certificate, load_signing_key
from mintonce_server.issuer.discovery import KEPT_FOR, RETRY
from mintonce_server.issuer.metadata import Metadata, metadata_urls
from support.clocks import ManualClock
from support.endpoints import CLIENT_ID, SECRET, IssuerAt, endpoint_options
from support.oidc_provider import AUDIENCE, OidcProvider
from support.peers import hangs, peer
from support.signing import jwk, pem, private_key
from support.tls import Authority
from support.web import Reply, Request, Web, web

KEY = TokenKey.of("orders", AUDIENCE)
TOKEN = b'{"access_token":"a","token_type":"Bearer","expires_in":60}'
OPENID, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"


class Site:
    """An issuer whose metadata a test can change."""

    def __init__(self) -> None:
        self.path = ""
        self.token_path = "/token"
        self.changes: dict[str, Any] = {}
        self.at = OAUTH
        self.status = 200
        self.server = Web()

    @property
    def issuer(self) -> str:
        return self.server.url + self.path

    def __call__(self, request: Request) -> Reply:
        if request.method == "POST":
            found = request.path == self.token_path
            return (200, {"Content-Type": "application/json"}, TOKEN) if found else (404, {}, b"")
        if request.path != self.at:
            return 404, {}, b""
        document = {"issuer": self.issuer, "token_endpoint": self.server.url + self.token_path, **self.changes}
        return self.status, {}, json.dumps(document).encode()

    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.server.requests]


async def minted(issuer_at: IssuerAt, site: Site, **options: Any) -> None:
    async with web(site) as site.server:
        await issuer_at(None, issuer=site.issuer, **options).mint(KEY)


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        ("https://a.example", ["https://a.example" + OAUTH, "https://a.example" + OPENID]),
        ("https://a.example/", ["https://a.example" + OAUTH, "https://a.example" + OPENID]),
        (
            "https://a.example:8443/realms/x",
            [
                f"https://a.example:8443{OAUTH}/realms/x",
                f"https://a.example:8443/realms/x{OPENID}",
                f"https://a.example:8443{OPENID}/realms/x",
            ],
        ),
    ],
)
def test_where_the_metadata_may_be(issuer: str, urls: list[str]) -> None:
    """RFC 8414 puts an issuer's path behind the well-known one, OpenID before it."""
    assert list(metadata_urls(issuer)) == urls


@pytest.mark.parametrize(
    ("path", "at"), [("", OAUTH), ("", OPENID), ("/r/x", OAUTH + "/r/x"), ("/r/x", "/r/x" + OPENID)]
)
async def test_the_metadata_names_the_token_endpoint(issuer_at: IssuerAt, path: str, at: str) -> None:
    """Wherever the issuer publishes it."""
    site = Site()
    site.path, site.at, site.token_path = path, at, "/somewhere/token"

    await minted(issuer_at, site)

    assert site.asked()[-2:] == [f"GET {at}", "POST /somewhere/token"]


async def test_a_real_server_is_found(issuer_at: IssuerAt) -> None:
    """npm oidc-provider publishes OpenID metadata."""
    with OidcProvider([(CLIENT_ID, SECRET, "client_secret_post")]) as provider:
        issuer = provider.token_url.removesuffix("/token")
        token = await issuer_at(None, issuer=issuer, request="form").mint(KEY)
    assert token.audience == (AUDIENCE,)


async def test_many_mints_read_the_metadata_once(issuer_at: IssuerAt) -> None:
    """It is kept."""
    site = Site()
    async with web(site) as site.server:
        issuer = issuer_at(None, issuer=site.issuer)
        await asyncio.gather(*(issuer.mint(KEY) for _ in range(20)))
    assert sum(line.startswith("GET") for line in site.asked()) == 1


async def test_the_metadata_is_read_again_after_an_hour(issuer_at: IssuerAt, clock: ManualClock) -> None:
    """An issuer may move its endpoint."""
    site = Site()
    async with web(site) as site.server:
        issuer = issuer_at(None, issuer=site.issuer)
        await issuer.mint(KEY)
        clock.advance(KEPT_FOR + 1)
        site.token_path = "/new"
        await issuer.mint(KEY)
    assert site.asked()[-1] == "POST /new"


async def test_an_endpoint_that_has_moved_is_looked_up_at_the_next_mint(issuer_at: IssuerAt) -> None:
    """A 404 there says so."""
    site = Site()
    async with web(site) as site.server:
        issuer = issuer_at(None, issuer=site.issuer)
        await issuer.mint(KEY)
        site.token_path = "/new"
        with pytest.raises(IssuerRefused):
            await issuer.mint(KEY)
        await issuer.mint(KEY)
    assert site.asked()[-2:] == [f"GET {OAUTH}", "POST /new"]


async def test_metadata_that_was_wrong_is_read_again_after_a_minute(issuer_at: IssuerAt, clock: ManualClock) -> None:
    """A method that it excluded, or an endpoint that is not there: no restart is needed."""
    site = Site()
    site.changes = {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}
    async with web(site) as site.server:
        issuer = issuer_at(None, issuer=site.issuer)
        with pytest.raises(IssuerRefused):
            await issuer.mint(KEY)
        site.changes = {"token_endpoint": "http://127.0.0.1:1/token"}
        clock.advance(RETRY + 1)
        with pytest.raises(IssuerUnavailable):
            await issuer.mint(KEY)
        site.changes = {}
        clock.advance(RETRY + 1)
        await issuer.mint(KEY)
    assert site.asked()[-1] == "POST /token"


async def test_what_is_known_serves_while_the_metadata_is_out_of_reach(clock: ManualClock) -> None:
    """It is reported, and tried again a minute later."""
    site, failures, reads = Site(), list[IssuerError](), list[Metadata]()
    async with web(site) as site.server:
        endpoint = TokenEndpoint(
            endpoint_options(None, issuer=site.issuer), clock, on_read=reads.append, on_failure=failures.append
        )
        issuer = endpoint.for_client(ClientCredentials(CLIENT_ID, Secret(SECRET)))
        await issuer.mint(KEY)
        site.status = 503
        clock.advance(KEPT_FOR + 1)
        await issuer.mint(KEY)
        await issuer.mint(KEY)
        site.status = 200
        clock.advance(RETRY + 1)
        await issuer.mint(KEY)
        await endpoint.close()
    assert [str(error) for error in failures] == ["the metadata of 127.0.0.1 cannot be read (status 503)"]
    assert len(reads) == 1
    assert sum(line.startswith("GET") for line in site.asked()) == 3


async def test_a_document_that_hangs_stops_no_mint_once_it_is_known(issuer_at: IssuerAt, clock: ManualClock) -> None:
    """A mint waits for it a quarter of its time at most, and others do not wait at all."""
    site, hanging = Site(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hanging.set()
        await hangs(reader, writer)

    async with web(site) as site.server, peer(hang) as silent:
        issuer = issuer_at(None, issuer=site.issuer, timeout=2.0)
        await issuer.mint(KEY)
        clock.advance(KEPT_FOR + 1)

        def there(_: str) -> list[str]:
            return [silent]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mintonce_server.issuer.discovery.metadata_urls", there)
            await asyncio.gather(*(issuer.mint(KEY) for _ in range(5)))
    assert hanging.is_set()
    assert sum(line.startswith("POST") for line in site.asked()) == 6


@pytest.mark.parametrize("status", [200, 302])
async def test_a_page_for_unknown_paths_hides_no_metadata(issuer_at: IssuerAt, status: int) -> None:
    """The next address is tried."""
    site = Site()
    site.at = OPENID

    def handler(request: Request) -> Reply:
        return (status, {"Location": "/login"}, b"<html>") if request.path == OAUTH else site(request)

    async with web(handler) as site.server:
        await issuer_at(None, issuer=site.issuer).mint(KEY)
    assert site.asked() == [f"GET {OAUTH}", f"GET {OPENID}", "POST /token"]


async def test_metadata_of_an_issuer_with_tls_names_no_endpoint_without(issuer_at: IssuerAt, tmp_path: Path) -> None:
    """Also if `insecure_issuer` allows http:// in the settings."""
    site, authority = Site(), Authority(tmp_path)
    site.changes = {"token_endpoint": "http://127.0.0.1:1/token"}
    async with web(site, authority.server()) as site.server:
        with pytest.raises(IssuerMalformed, match="plain http://"):
            await issuer_at(None, issuer=site.issuer, ca_file=str(authority.ca), allow_http=True).mint(KEY)


async def test_metadata_is_read_with_the_clients_certificate(issuer_at: IssuerAt, tmp_path: Path) -> None:
    """A host may want it for every request."""
    site, authority = Site(), Authority(tmp_path)
    cert, key = (path.read_bytes() for path in authority.client())
    certificate = load_client_certificate(cert, key)
    credentials = ClientCredentials(CLIENT_ID, certificate=lambda: certificate)
    async with web(site, authority.server(wants_certificate=True)) as site.server:
        issuer = issuer_at(None, credentials, issuer=site.issuer, ca_file=str(authority.ca), auth="tls_client_auth")
        await issuer.mint(KEY)
    assert len(site.asked()) == 2


@pytest.mark.parametrize("stated", ["http://127.0.0.1:1", None, 5, "https://evil.example\x1b[31m", "issuer/"], ids=str)
async def test_metadata_of_another_issuer_is_refused(issuer_at: IssuerAt, stated: object) -> None:
    """`issuer` is compared to the letter (RFC 8414, section 3.3), and the message says what stands there."""
    site = Site()
    site.changes = {"issuer": stated}
    with pytest.raises(IssuerMalformed, match="is of another issuer") as caught:
        await minted(issuer_at, site)
    assert not any(line.startswith("POST") for line in site.asked())
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "endpoint", ["http://api.example.com/token", "ftp://127.0.0.1/", "https://u:p@127.0.0.1/", "/token", None, 5]
)
async def test_a_token_endpoint_that_the_settings_would_not_allow_is_refused(
    issuer_at: IssuerAt, endpoint: object
) -> None:
    """Plain http:// to another host, for example: the secret is not sent."""
    site = Site()
    site.changes = {"token_endpoint": endpoint}
    with pytest.raises(IssuerMalformed) as caught:
        await minted(issuer_at, site)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b'{"issuer":"a","issuer":"b"}'])
async def test_a_document_that_is_no_metadata_is_refused(issuer_at: IssuerAt, body: bytes) -> None:
    """With what to check."""

    def handler(request: Request) -> Reply:
        return 200, {}, body

    async with web(handler) as site:
        with pytest.raises(IssuerMalformed, match="not a JSON object"):
            await issuer_at(None, issuer=site.url).mint(KEY)


@pytest.mark.parametrize(("status", "word"), [(404, "identifier"), (302, "Redirects"), (500, "Wait")])
async def test_missing_metadata_says_what_to_do(issuer_at: IssuerAt, status: int, word: str) -> None:
    """The remedy fits the status."""

    def handler(request: Request) -> Reply:
        return status, {}, b""

    async with web(handler) as site:
        with pytest.raises(IssuerUnavailable) as caught:
            await issuer_at(None, issuer=site.url).mint(KEY)
    assert word in caught.value.remedy


METHODS: list[tuple[list[str], bool, str | None]] = [
    ([], False, "body"),
    (["client_secret_post", "client_secret_basic"], False, "body"),
    (["client_secret_basic"], False, "basic"),
    (["client_secret_basic"], True, None),
    (["private_key_jwt"], False, None),
]


@pytest.mark.parametrize(("listed", "is_fixed", "how"), METHODS)
async def test_the_method_is_one_that_the_issuer_lists(
    issuer_at: IssuerAt, listed: list[str], is_fixed: bool, how: str | None
) -> None:
    """Between the two ways to send a secret, metadata may choose if the settings do not."""
    site = Site()
    site.changes = {"token_endpoint_auth_methods_supported": listed} if listed else {}
    if how is None:
        with pytest.raises(IssuerRefused, match="does not list the method client_secret_post") as caught:
            await minted(issuer_at, site, auth_is_fixed=is_fixed)
        assert listed[0] in caught.value.remedy
        assert not any(line.startswith("POST") for line in site.asked())
        return
    await minted(issuer_at, site, auth_is_fixed=is_fixed)
    post = site.server.requests[-1]
    assert (SECRET.encode() in post.body) is (how == "body")
    assert ("authorization" in post.headers) is (how == "basic")


@pytest.mark.parametrize(
    ("listed", "chosen", "used"),
    [
        (["PS256", "RS512"], None, "PS256"),
        (["RS256", "PS256"], None, "RS256"),
        (["ES256"], None, None),
        (["PS256"], "RS256", None),
    ],
)
async def test_the_algorithm_is_one_that_the_issuer_lists(
    issuer_at: IssuerAt, listed: list[str], chosen: str | None, used: str | None
) -> None:
    """If the setting leaves it open and the key can sign with it."""
    site = Site()
    site.changes = {"token_endpoint_auth_signing_alg_values_supported": listed}
    key = load_signing_key(pem(private_key("RS256")), chosen)
    credentials = ClientCredentials(CLIENT_ID, signing_key=lambda: key)
    async with web(site) as site.server:
        issuer = issuer_at(None, credentials, issuer=site.issuer, auth="private_key_jwt", request="form")
        if used is None:
            with pytest.raises(IssuerRefused, match="does not list the algorithm RS256"):
                await issuer.mint(KEY)
            return
        await issuer.mint(KEY)
    assert header_of(site.server.requests[-1].body)["alg"] == used


def header_of(form: bytes) -> dict[str, Any]:
    """The header of the client assertion in a form."""
    assertion = parse_qs(form.decode())["client_assertion"][0]
    part = assertion.split(".")[0]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


async def test_a_real_server_lists_what_it_takes(issuer_at: IssuerAt) -> None:
    """npm oidc-provider: an assertion whose audience is the issuer."""
    key = private_key("ES384")
    client = {
        "client_id": CLIENT_ID,
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES384",
        "jwks": {"keys": [jwk(key)]},
    }
    with OidcProvider([client]) as provider:
        signing = load_signing_key(pem(key))
        issuer = issuer_at(
            None,
            ClientCredentials(CLIENT_ID, signing_key=lambda: signing),
            issuer=provider.token_url.removesuffix("/token"),
            assertion_audience="issuer",
            auth="private_key_jwt",
            request="form",
        )
        assert (await issuer.mint(KEY)).access_token


async def test_slow_metadata_ends_with_the_mint(issuer_at: IssuerAt) -> None:
    """One deadline for both, also for those who wait for the same document."""

    async with peer(hangs) as url, asyncio.timeout(5.0):
        issuer = issuer_at(None, issuer=url.removesuffix("/oauth/token"), timeout=0.2)
        results = await asyncio.gather(*(issuer.mint(KEY) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, IssuerUnavailable) for result in results)
