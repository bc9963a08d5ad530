"""What the issuer says in its own words goes to the log, without secrets; the remedy fits it."""

import base64
import json

import pytest

from mintonce_server.core.errors import IssuerRefused
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.issuer import ClientCredentials, EndpointSources
from mintonce_server.issuer.explanation import MAX_SAID, explanation
from mintonce_server.issuer.remedies import remedy
from support.endpoints import CLIENT_ID, IssuerAt
from support.web import Reply, Request, web

KEY = TokenKey.of("orders", "https://api.example.com/")
ENTRA = {
    "error": "invalid_client",
    "error_description": "AADSTS7000222: The provided client secret keys for app 'x' are expired.\r\nTrace ID: t",
    "error_codes": [7000222.0],
    "trace_id": "0a1b",
    "correlation_id": "2c3d",
}


def test_description_and_ids_are_kept() -> None:
    """On one line."""
    assert explanation(ENTRA, ()) == (
        "AADSTS7000222: The provided client secret keys for app 'x' are expired. Trace ID: t; "
        "error_codes 7000222; trace_id 0a1b; correlation_id 2c3d"
    )


def test_what_is_said_is_bounded_and_printable() -> None:
    """It comes from outside."""
    said = explanation({"error_description": "\x1b[31m" + "é" * 10_000}, ())
    assert len(said) <= MAX_SAID
    assert said.isascii()
    assert said.isprintable()


@pytest.mark.parametrize("fields", [{}, {"error_description": 5}, {"error_description": "  "}, {"error_codes": {}}])
def test_an_issuer_may_say_nothing(fields: dict[str, object]) -> None:
    """Or something else than text."""
    assert explanation(fields, ()) == ""


SPELLINGS = [
    's3cr+t&"x', "s3cr%2Bt%26%22x", "s3cr%2bt%26%22x", "s3cr+t&amp;&quot;x", 's3cr+t&amp;"x', 's3cr+t&\\"x',
    "czNjcit0JiJ4", "733363722b74262278", "733363722B74262278",
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_that_is_said_back_is_removed(spelling: str) -> None:
    """As it is, as in a form, a URL, JSON or a page, in base64 and in hex; also where a cut would divide it."""
    for padding in ("", "x" * (MAX_SAID - 5)):
        said = explanation({"error_description": f"{padding}{spelling} is wrong"}, ['s3cr+t&"x'])
        assert spelling[:8] not in said


async def test_no_secret_of_the_request_is_said_back(issuer_at: IssuerAt) -> None:
    """The Basic header, the other secret, and a header from a file."""
    pair = base64.b64encode(b"the-client:hunter22").decode()

    def handler(_: Request) -> Reply:
        said = {"error": "invalid_client", "error_description": f"basic {pair}, api key gate-key-1, not other-one"}
        return 401, {}, json.dumps(said).encode()

    credentials = ClientCredentials(CLIENT_ID, client_secrets=lambda: [Secret("other-one"), Secret("hunter22")])
    sources = EndpointSources(headers=lambda: {"X-Key": Secret("gate-key-1")})
    async with web(handler) as site:
        with pytest.raises(IssuerRefused) as caught:
            await issuer_at(f"{site.url}/t", credentials, sources, auth="client_secret_basic").mint(KEY)
    assert caught.value.said == "basic [secret], api key [secret], not [secret]"


async def test_callers_never_see_it(issuer_at: IssuerAt) -> None:
    """Neither in the message nor in the remedy; the log has it."""

    def handler(_: Request) -> Reply:
        said = {"error": "invalid_client", "error_description": "a-canary, and s3cret"}
        return 401, {}, json.dumps(said).encode()

    async with web(handler) as site:
        with pytest.raises(IssuerRefused) as caught:
            await issuer_at(f"{site.url}/t", ClientCredentials(CLIENT_ID, Secret("s3cret"))).mint(KEY)
    assert caught.value.said == "a-canary, and [secret]"
    assert "canary" not in f"{caught.value} {caught.value.remedy}"
    assert "issuer_said" in caught.value.remedy


async def test_a_secret_is_no_error_code(issuer_at: IssuerAt) -> None:
    """A code is shown to callers; a secret of small letters looks like one."""

    def handler(_: Request) -> Reply:
        return 401, {}, b'{"error":"correcthorse"}'

    async with web(handler) as site:
        with pytest.raises(IssuerRefused) as caught:
            await issuer_at(f"{site.url}/t", ClientCredentials(CLIENT_ID, Secret("correcthorse"))).mint(KEY)
    assert caught.value.issuer_error == ""
    assert "correcthorse" not in f"{caught.value} {caught.value.remedy} {caught.value.said}"


@pytest.mark.parametrize(
    ("status", "code", "auth", "provider", "said", "word"),
    [
        (401, "invalid_client", "client_secret_post", "", "", "client_secret_files"),
        (401, "", "client_secret_basic", "", "", "basic_encoding"),
        (401, "unauthorized_client", "client_secret_post", "keycloak", "Invalid client", "client_secret_files"),
        (401, "unauthorized_client", "client_secret_post", "keycloak", "… retrieve service account", "Service acc"),
        (400, "unauthorized_client", "client_secret_post", "", "", "client_credentials"),
        (401, "invalid_client", "client_secret_post", "", "The secret has expired", "expired"),
        (400, "invalid_client", "private_key_jwt", "", "Invalid aud claim", "assertion_audience"),
        (400, "invalid_client", "private_key_jwt", "", "The JWT is expired", "clock"),
        (401, "invalid_client", "private_key_jwt", "", "", "signing_key_file"),
        (401, "invalid_client", "tls_client_auth", "", "", "certificate_file"),
        (401, "invalid_client", "client_secret_post", "entra", "AADSTS7000222: …", "expired"),
        (401, "invalid_client", "client_secret_post", "entra", "AADSTS7000215: …", "its value"),
        (400, "invalid_scope", "client_secret_post", "entra", "AADSTS1002012: …", ".default"),
        (403, "access_denied", "client_secret_post", "auth0", "Service not found: x", "identifier"),
        (400, "invalid_target", "client_secret_post", "", "", "audience_parameter"),
    ],
)  # fmt: skip
def test_the_remedy_fits(status: int, code: str, auth: str, provider: str, said: str, word: str) -> None:
    """The status, the code, the method, the provider and what the issuer says."""
    assert word in remedy(status, code, auth, provider, said)
