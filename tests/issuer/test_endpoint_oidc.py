"""Mints at an independent OAuth server: npm oidc-provider."""

from collections.abc import Iterator

import pytest

from mintonce_server.core.errors import IssuerRefused
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.issuer import ClientCredentials
from support.endpoints import IssuerAt
from support.oidc_provider import AUDIENCE, OidcProvider, whole_life

KEY = TokenKey.of("orders", AUDIENCE, ["orders:read"])
ODD = "p%41+q &=:/\\\"'~*"
"""Each character is one that a sloppy encoding would change."""

CLIENTS = [
    ("post-client", ODD, "client_secret_post"),
    ("basic client:%20", ODD, "client_secret_basic"),
]


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with OidcProvider(CLIENTS) as running:
        yield running


@pytest.mark.parametrize(("client_id", "secret", "auth"), CLIENTS)
async def test_both_ways_to_send_an_odd_secret(
    issuer_at: IssuerAt, provider: OidcProvider, client_id: str, secret: str, auth: str
) -> None:
    """In the body, and percent-encoded in Basic credentials."""
    credentials = ClientCredentials(client_id, Secret(secret))
    minted = await issuer_at(provider.token_url, credentials, request="form", auth=auth).mint(KEY)
    assert minted.access_token.reveal().count(".") == 2
    assert whole_life(minted.lifetime)
    assert minted.token_type == "Bearer"
    assert minted.scopes == ("orders:read",)


async def test_without_an_audience_the_token_is_opaque(issuer_at: IssuerAt, provider: OidcProvider) -> None:
    """The server's default, with its own lifetime."""
    issuer = issuer_at(provider.token_url, ClientCredentials("post-client", Secret(ODD)), request="form")
    minted = await issuer.mint(TokenKey.of("orders", "", ["orders:write"]))
    assert "." not in minted.access_token.reveal()
    assert minted.lifetime == 600.0


@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [
        (KEY, "wrong", "invalid_client"),
        (TokenKey.of("orders", "https://other.example.com/"), ODD, "invalid_target"),
        (TokenKey.of("orders", AUDIENCE, ["admin"]), ODD, "invalid_scope"),
    ],
)
async def test_its_refusals_keep_their_code(
    issuer_at: IssuerAt, provider: OidcProvider, key: TokenKey, secret: str, code: str
) -> None:
    """RFC 6749, section 5.2, and RFC 8707, section 2."""
    issuer = issuer_at(provider.token_url, ClientCredentials("post-client", Secret(secret)), request="form")
    with pytest.raises(IssuerRefused) as caught:
        await issuer.mint(key)
    assert caught.value.issuer_error == code


async def test_it_refuses_json_and_the_remedy_says_so(issuer_at: IssuerAt, provider: OidcProvider) -> None:
    """The wrong dialect is the most frequent mistake of newcomers."""
    with pytest.raises(IssuerRefused) as caught:
        await issuer_at(provider.token_url, ClientCredentials("post-client", Secret(ODD))).mint(KEY)
    assert '"form"' in caught.value.remedy
