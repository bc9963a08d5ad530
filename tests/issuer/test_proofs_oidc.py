"""Signed assertions and certificates, at an independent OAuth server: npm oidc-provider."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mintonce_server.common.clock import SystemClock
from mintonce_server.core.errors import IssuerMalformed, IssuerRefused
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Issuer
from mintonce_server.issuer import (
    SIGNING_ALGORITHMS,
    THUMBPRINT,
    ClientCertificate,
    ClientCredentials,
    SigningKey,
    TokenEndpoint,
    load_client_certificate,
    load_signing_key,
)
from support.endpoints import IssuerAt, endpoint_options
from support.oidc_provider import AUDIENCE, OidcProvider, whole_life
from support.signing import PrivateKey, jwk, pem, private_key
from support.tls import Authority

KEY = TokenKey.of("orders", AUDIENCE, ["orders:read"])
KEYS = {algorithm: private_key(algorithm) for algorithm in SIGNING_ALGORITHMS}


@dataclass
class Place:
    """The server, and what both sides need for trust."""

    provider: OidcProvider
    ca_file: str
    certificate: ClientCertificate
    foreign: ClientCertificate


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    authority = Authority(tmp_path_factory.mktemp("ours"))
    stranger = Authority(tmp_path_factory.mktemp("foreign"))
    certificate, key = authority.server_files()
    files = {"cert": str(certificate), "key": str(key), "ca": str(authority.ca)}
    certified: dict[str, object] = {
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "mintonce.example",
    }
    clients = [
        *(_signer(algorithm, key) for algorithm, key in KEYS.items()),
        {"client_id": "certified", **certified},
        {"client_id": "bound", "tls_client_certificate_bound_access_tokens": True, **certified},
        {"client_id": "other", **certified, "tls_client_auth_san_dns": "other.example"},
    ]
    with OidcProvider(clients, files) as provider:
        yield Place(provider, str(authority.ca), _certificate(authority.client()), _certificate(stranger.client()))


@pytest.fixture
def clock() -> SystemClock:
    """The server checks assertions by its own clock."""
    return SystemClock()


def _signer(algorithm: str, key: PrivateKey) -> dict[str, object]:
    return {
        "client_id": f"signs {algorithm}",
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": algorithm,
        "jwks": {"keys": [jwk(key) | {"kid": "the-key"}]},
    }


def _certificate(files: tuple[Path, Path]) -> ClientCertificate:
    return load_client_certificate(files[0].read_bytes(), files[1].read_bytes())


def signs(place: Place, issuer_at: IssuerAt, algorithm: str, key: SigningKey, **options: object) -> Issuer:
    credentials = ClientCredentials(f"signs {algorithm}", signing_key=lambda: key)
    how = {"request": "form", "auth": "private_key_jwt", "ca_file": place.ca_file, **options}
    return issuer_at(place.provider.token_url, credentials, **how)


def certified(
    place: Place, issuer_at: IssuerAt, client_id: str, certificate: ClientCertificate, **options: object
) -> Issuer:
    credentials = ClientCredentials(client_id, certificate=lambda: certificate)
    how = {"request": "form", "auth": "tls_client_auth", "ca_file": place.ca_file, **options}
    return issuer_at(place.provider.token_url, credentials, **how)


@pytest.mark.parametrize("key_id", [None, "the-key"])
@pytest.mark.parametrize("algorithm", SIGNING_ALGORITHMS)
async def test_an_assertion_of_each_kind_is_taken(
    issuer_at: IssuerAt, place: Place, algorithm: str, key_id: str | None
) -> None:
    """With and without the key's id, twice: the server accepts no assertion twice, and each has its own jti."""
    issuer = signs(place, issuer_at, algorithm, load_signing_key(pem(KEYS[algorithm]), algorithm, key_id))
    first, second = await issuer.mint(KEY), await issuer.mint(KEY)
    assert whole_life(first.lifetime)
    assert whole_life(second.lifetime)
    assert first.access_token != second.access_token


async def test_an_assertion_is_taken_once(issuer_at: IssuerAt, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a replayed one is useless, and the previous test proves what it claims."""

    def token_urlsafe(_size: int) -> str:
        return "always the same"

    monkeypatch.setattr("mintonce_server.issuer.signing.secrets.token_urlsafe", token_urlsafe)
    issuer = signs(place, issuer_at, "ES256", load_signing_key(pem(KEYS["ES256"]), "ES256"))
    await issuer.mint(KEY)
    with pytest.raises(IssuerRefused) as caught:
        await issuer.mint(KEY)
    assert caught.value.issuer_error == "invalid_client"


async def test_the_audience_of_an_assertion_is_a_setting(issuer_at: IssuerAt, place: Place) -> None:
    """Some issuers expect their own URL there instead of the endpoint's; another one is refused."""
    key = load_signing_key(pem(KEYS["ES256"]), "ES256")
    origin = place.provider.token_url.removesuffix("/token")
    assert (await signs(place, issuer_at, "ES256", key, assertion_audience=origin).mint(KEY)).access_token
    with pytest.raises(IssuerRefused):
        await signs(place, issuer_at, "ES256", key, assertion_audience="https://other.example.com/").mint(KEY)


@pytest.mark.parametrize(
    "key",
    [
        lambda: load_signing_key(pem(private_key("ES256")), "ES256"),
        lambda: load_signing_key(pem(KEYS["ES256"]), "ES256", THUMBPRINT),
    ],
    ids=["another key", "unknown kid"],
)
async def test_a_key_that_the_issuer_does_not_know_is_refused(
    issuer_at: IssuerAt, place: Place, key: Callable[[], SigningKey]
) -> None:
    """One POST, and the issuer's code."""
    with pytest.raises(IssuerRefused) as caught:
        await signs(place, issuer_at, "ES256", key()).mint(KEY)
    assert caught.value.issuer_error == "invalid_client"


async def test_a_certificate_is_taken(issuer_at: IssuerAt, place: Place) -> None:
    """The body has no secret at all."""
    minted = await certified(place, issuer_at, "certified", place.certificate).mint(KEY)
    assert whole_life(minted.lifetime)


@pytest.mark.parametrize(("client_id", "foreign"), [("certified", True), ("other", False)])
async def test_another_certificate_is_refused(issuer_at: IssuerAt, place: Place, client_id: str, foreign: bool) -> None:
    """Of another CA, or with a name that the client does not have."""
    with pytest.raises(IssuerRefused) as caught:
        await certified(place, issuer_at, client_id, place.foreign if foreign else place.certificate).mint(KEY)
    assert caught.value.issuer_error == "invalid_client"


async def test_a_replaced_certificate_counts_at_the_next_mint(issuer_at: IssuerAt, place: Place) -> None:
    """The kept connection with the previous one would have authenticated the wrong certificate."""
    current = [place.foreign]
    credentials = ClientCredentials("certified", certificate=lambda: current[0])
    issuer = issuer_at(
        place.provider.token_url, credentials, request="form", auth="tls_client_auth", ca_file=place.ca_file
    )
    with pytest.raises(IssuerRefused):
        await issuer.mint(KEY)
    current[0] = place.certificate
    assert (await issuer.mint(KEY)).access_token


async def test_clients_never_use_each_others_certificates(place: Place, clock: SystemClock) -> None:
    """They mint at the same endpoint, on connections of their own."""
    options = endpoint_options(place.provider.token_url, request="form", auth="tls_client_auth", ca_file=place.ca_file)
    endpoint = TokenEndpoint(options, clock)
    good = endpoint.for_client(ClientCredentials("certified", certificate=lambda: place.certificate))
    bad = endpoint.for_client(ClientCredentials("certified", certificate=lambda: place.foreign))
    await good.mint(KEY)
    with pytest.raises(IssuerRefused):
        await bad.mint(KEY)
    assert (await good.mint(KEY)).access_token
    await endpoint.close()


async def test_a_token_bound_to_the_certificate_is_not_shared(issuer_at: IssuerAt, place: Place) -> None:
    """Callers could not use it (RFC 8705, section 3): the error has a remedy."""
    with pytest.raises(IssuerMalformed, match="bound") as caught:
        await certified(place, issuer_at, "bound", place.certificate).mint(KEY)
    assert "allow_bound_tokens" in caught.value.remedy
    minted = await certified(place, issuer_at, "bound", place.certificate, allow_bound_tokens=True).mint(KEY)
    assert minted.access_token
