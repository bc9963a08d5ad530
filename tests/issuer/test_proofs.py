"""Client assertions by secret or with a thumbprint; a second credential; scopes that name an audience."""

import base64
import datetime as dt
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mintonce_server.core.errors import IssuerRefused
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.issuer import ClientCredentials, load_signing_key
from support.endpoints import CLIENT_ID, IssuerAt
from support.oidc_provider import AUDIENCE, OidcProvider
from support.signing import PrivateKey, pem, private_key
from support.web import Reply, Request, web

KEY = TokenKey.of("orders", AUDIENCE)
LONG_SECRET = "a-secret-of-at-least-thirty-two-characters"
TOKEN: dict[str, object] = {"access_token": "a", "token_type": "Bearer", "expires_in": 60}


def grants(**more: object) -> Any:
    def handler(_: Request) -> Reply:
        return 200, {}, json.dumps(TOKEN | more).encode()

    return handler


def self_signed(key: PrivateKey) -> bytes:
    """A certificate of the key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mintonce")])
    now = dt.datetime.now(dt.UTC)
    assert not isinstance(key, Ed25519PrivateKey)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def form_of(request: Request) -> dict[str, str]:
    return {name: text for name, (text,) in parse_qs(request.body.decode(), strict_parsing=True).items()}


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_an_assertion_by_the_secret_is_taken(issuer_at: IssuerAt, algorithm: str) -> None:
    """npm oidc-provider, client_secret_jwt; the secret itself is not sent."""
    secret = LONG_SECRET * 2
    client = {
        "client_id": CLIENT_ID,
        "client_secret": secret,
        "token_endpoint_auth_method": "client_secret_jwt",
        "token_endpoint_auth_signing_alg": algorithm,
    }
    with OidcProvider([client]) as provider:
        good, bad = (
            issuer_at(
                provider.token_url,
                ClientCredentials(CLIENT_ID, Secret(text), hmac_algorithm=algorithm),
                auth="client_secret_jwt",
                request="form",
            )
            for text in (secret, secret[::-1])
        )
        assert (await good.mint(KEY)).access_token
        with pytest.raises(IssuerRefused) as caught:
            await bad.mint(KEY)
    assert caught.value.issuer_error == "invalid_client"


async def test_the_thumbprints_of_a_certificate_stand_in_the_header(issuer_at: IssuerAt) -> None:
    """Microsoft Entra finds the key by them (RFC 7515, sections 4.1.7 and 4.1.8)."""
    private = private_key("PS256")
    certificate = self_signed(private)
    key = load_signing_key(pem(private), "PS256", None, certificate)
    credentials = ClientCredentials(CLIENT_ID, signing_key=lambda: key)
    async with web(grants()) as site:
        await issuer_at(f"{site.url}/t", credentials, auth="private_key_jwt", request="form").mint(KEY)
    head = form_of(site.requests[0])["client_assertion"].split(".")[0]
    header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    der = x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)
    for name, digest in (("x5t", hashlib.sha1(der)), ("x5t#S256", hashlib.sha256(der))):
        assert header[name] == base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")


def test_a_certificate_of_another_key_is_refused() -> None:
    """The issuer would refuse each assertion."""
    with pytest.raises(ValueError, match="does not belong to the signing key"):
        load_signing_key(pem(private_key("PS256")), "PS256", None, self_signed(private_key("PS256")))
    with pytest.raises(ValueError, match="not a certificate in PEM"):
        load_signing_key(pem(private_key("PS256")), "PS256", None, b"x")


@pytest.mark.parametrize(
    ("status", "body"), [(403, b""), (400, b""), (401, b"<html>"), (200, b'{"error":"invalid_client"}')]
)
async def test_a_second_secret_is_tried_however_the_first_is_refused(
    issuer_at: IssuerAt, status: int, body: bytes
) -> None:
    """Servers differ: glewlwyd says 403 with an empty body."""

    def handler(request: Request) -> Reply:
        right = form_of(request)["client_secret"] == "right"
        return (200, {}, json.dumps(TOKEN).encode()) if right else (status, {}, body)

    credentials = ClientCredentials(CLIENT_ID, client_secrets=lambda: [Secret("wrong"), Secret("right")])
    async with web(handler) as site:
        issuer = issuer_at(f"{site.url}/t", credentials, request="form")
        assert (await issuer.mint(KEY)).access_token
        assert (await issuer.mint(KEY)).access_token
    assert len(site.requests) == 3


async def test_a_scope_may_name_the_audience(issuer_at: IssuerAt) -> None:
    """Microsoft Entra. That scope is no grant: policies do not list it."""
    key = TokenKey.of("orders", "api://orders")
    async with web(grants(scope="api://orders/.default")) as site:
        issuer = issuer_at(
            f"{site.url}/t", request="form", audience_parameter="scope", audience_scope="{audience}/.default"
        )
        minted = await issuer.mint(key)
    form = form_of(site.requests[0])
    assert form["scope"] == "api://orders/.default"
    assert not {"audience", "resource"} & form.keys()
    assert minted.scopes == ()


@pytest.mark.parametrize("audience", ["https://graph/Mail.Read api://orders", 'a"b', "日本"])
async def test_an_audience_brings_no_other_scope_along(issuer_at: IssuerAt, audience: str) -> None:
    """What is no scope by itself is not sent."""
    async with web(grants()) as site:
        issuer = issuer_at(
            f"{site.url}/t", request="form", audience_parameter="scope", audience_scope="{audience}/.default"
        )
        with pytest.raises(IssuerRefused, match="cannot be part of a scope"):
            await issuer.mint(TokenKey.of("orders", audience))
    assert not site.requests


@pytest.mark.parametrize("stated", [{}, {"scope": "admin:write read"}])
async def test_an_audience_that_is_a_scope_by_itself_counts_as_granted(
    issuer_at: IssuerAt, stated: dict[str, str]
) -> None:
    """With the template `{audience}`: the policy's scopes must have it."""
    async with web(grants(**stated)) as site:
        issuer = issuer_at(f"{site.url}/t", request="form", audience_parameter="scope")
        minted = await issuer.mint(TokenKey.of("orders", "admin:write", ["read"]))
    assert minted.scopes == ("admin:write", "read")


async def test_an_audience_may_stay_unsaid(issuer_at: IssuerAt) -> None:
    """For servers that refuse or ignore it; it still names the key."""
    async with web(grants()) as site:
        await issuer_at(f"{site.url}/t", request="form", audience_parameter="none").mint(KEY)
        await issuer_at(f"{site.url}/t", request="json", audience_parameter="none").mint(KEY)
    assert not any(AUDIENCE.encode() in request.body or b"https%3A" in request.body for request in site.requests)


async def test_default_scopes_are_asked_for_only_if_the_caller_asks_for_none(issuer_at: IssuerAt) -> None:
    """And are taken for granted if the answer does not say otherwise (RFC 6749, section 5.1)."""
    credentials = ClientCredentials(CLIENT_ID, Secret("s"), default_scopes=("a", "b"))
    async with web(grants()) as site:
        issuer = issuer_at(f"{site.url}/t", credentials, request="form")
        none = await issuer.mint(KEY)
        one = await issuer.mint(TokenKey.of("orders", AUDIENCE, ["c"]))
    assert [form_of(request)["scope"] for request in site.requests] == ["a b", "c"]
    assert (none.scopes, one.scopes) == (("a", "b"), ("c",))
