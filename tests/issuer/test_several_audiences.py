"""One token for several audiences, and audiences with spaces or in other scripts."""

from urllib.parse import parse_qsl

import pytest

from mintonce_server.core.errors import IssuerMalformed
from mintonce_server.core.key import TokenKey
from support.endpoints import IssuerAt
from support.jwts import unsigned
from support.web import Handler, Reply, Request, web

A, B = "https://a.example/", "https://b.example/"
KEY = TokenKey.of("orders", f"{A} {B}")


def grants(*audiences: str) -> Handler:
    def handler(_: Request) -> Reply:
        token = unsigned({"alg": "RS256"}, {"aud": list(audiences)}, b"signature")
        return 200, {}, b'{"access_token":"%s","token_type":"Bearer","expires_in":60}' % token.encode()

    return handler


@pytest.mark.parametrize(
    ("several", "parameter", "sent"),
    [
        ("repeat", "resource", [("resource", A), ("resource", B)]),
        ("space", "audience", [("audience", f"{A} {B}")]),
        ("no", "audience", [("audience", f"{A} {B}")]),
        ("repeat", "scope", [("scope", f"{A}.default {B}.default")]),
    ],
)
async def test_several_audiences_are_sent_as_the_issuer_wants_them(
    issuer_at: IssuerAt, several: str, parameter: str, sent: list[tuple[str, str]]
) -> None:
    """Repeated as in RFC 8707, or in one parameter."""
    async with web(grants(A, B)) as site:
        issuer = issuer_at(
            f"{site.url}/t",
            request="form",
            several_audiences=several,
            audience_parameter=parameter,
            audience_scope="{audience}.default",
        )
        await issuer.mint(KEY)
    form = parse_qsl(site.requests[0].body.decode(), strict_parsing=True)
    assert [pair for pair in form if pair[0] == parameter] == sent


async def test_a_token_must_be_for_all_of_them(issuer_at: IssuerAt) -> None:
    """With `audience_check = "refuse"`."""
    async with web(grants(A)) as site:
        issuer = issuer_at(f"{site.url}/t", request="form", several_audiences="repeat", audience_check="refuse")
        with pytest.raises(IssuerMalformed, match="not for the requested audience"):
            await issuer.mint(KEY)
        assert (await issuer.mint(TokenKey.of("orders", A))).audience == (A,)


async def test_an_audience_may_have_spaces_and_any_script(issuer_at: IssuerAt) -> None:
    """Where the issuer has such names; it is compared with what the token says."""
    name = "Bücher API 書"
    async with web(grants(name)) as site:
        issuer = issuer_at(f"{site.url}/t", request="form", audience_parameter="audience", audience_check="refuse")
        await issuer.mint(TokenKey.of("orders", name))
    assert ("audience", name) in parse_qsl(site.requests[0].body.decode())
