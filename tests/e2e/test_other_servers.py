"""`mintonced serve` against an OAuth server of another project: npm oidc-provider."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from mintonce import AsyncTokenClient, Origin, Refused
from mintonce_dev.valkey import EmbeddedValkey
from support.oidc_provider import AUDIENCE, OidcProvider
from support.replicas import replica
from support.surroundings import claims

SECRET = "s3cret of the form & its 100 % odd + characters"


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    """Two clients, which differ in how they prove themselves."""
    clients = [("by-post", SECRET, "client_secret_post"), ("by-basic", SECRET, "client_secret_basic")]
    with OidcProvider(clients) as running:
        yield running


@pytest.mark.parametrize(
    ("client_id", "auth"), [("by-post", "client_secret_post"), ("by-basic", "client_secret_basic")]
)
async def test_environment_variables_are_enough(
    tmp_path: Path, valkey: EmbeddedValkey, provider: OidcProvider, client_id: str, auth: str
) -> None:
    """RFC 6749 by form; the audience travels as `resource` (RFC 8707). The token is for it, and is shared."""
    settings = {
        "ISSUERS__DEFAULT__TOKEN_URL": provider.token_url,
        "ISSUERS__DEFAULT__AUTH": auth,
        "CLIENT_ID": client_id,
        "CLIENT_SECRET": SECRET,
        "REDIS_URL": valkey.url,
    }
    async with replica(tmp_path, settings) as server, AsyncTokenClient(server.target) as client:
        tokens = await asyncio.gather(*(client.get("default", AUDIENCE, ["orders:read"]) for _ in range(50)))
        again = await client.get("default", AUDIENCE, ["orders:read"])
        assert len(server.events("minted")) == 1
    assert len({token.access_token for token in (*tokens, again)}) == 1
    said = claims(again.access_token)
    assert (said["aud"], said["client_id"], said["scope"]) == (AUDIENCE, client_id, "orders:read")
    assert again.scopes == ("orders:read",)
    assert 1190.0 < again.expires_in() <= 1200.0


@pytest.mark.slow
async def test_a_config_file_is_enough(tmp_path: Path, valkey: EmbeddedValkey, provider: OidcProvider) -> None:
    """Several clients of one issuer, their secret in a file beside it; a restart mints nothing."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "secret").chmod(0o600)
    config = tmp_path / "mintonce.toml"
    config.write_text(f"""
[redis]
url = "{valkey.url}"

[issuers.post]
token_url = "{provider.token_url}"

[issuers.basic]
token_url = "{provider.token_url}"
auth = "client_secret_basic"

[clients.orders]
issuer = "post"
client_id = "by-post"
client_secret_files = ["secret"]
audiences = ["{AUDIENCE}"]

[clients.billing]
issuer = "basic"
client_id = "by-basic"
client_secret_files = ["secret"]
""")
    config.chmod(0o600)
    texts: list[str] = []
    for origin in (Origin.MINT, Origin.STORE):
        async with replica(tmp_path, {"CONFIG": str(config)}) as server, AsyncTokenClient(server.target) as client:
            orders, billing = [await client.get(name, AUDIENCE) for name in ("orders", "billing")]
            assert (orders.origin, billing.origin) == (origin, origin)
            texts += [orders.access_token, billing.access_token]
    assert texts[:2] == texts[2:]
    assert [claims(text)["client_id"] for text in texts[:2]] == ["by-post", "by-basic"]


async def test_its_refusals_reach_the_caller_as_what_they_are(
    tmp_path: Path, valkey: EmbeddedValkey, provider: OidcProvider
) -> None:
    """FAILED_PRECONDITION with its own error code and what to mend: a wrong secret, an unknown audience or scope."""
    settings = {
        "ISSUERS__DEFAULT__TOKEN_URL": provider.token_url,
        "CLIENT_ID": "by-post",
        "CLIENT_SECRET": SECRET,
        "CLIENTS__WRONG__CLIENT_ID": "by-post",
        "CLIENTS__WRONG__CLIENT_SECRET": "wrong",
        "REDIS_URL": valkey.url,
    }
    asked: list[tuple[str, str, list[str], str]] = [
        ("wrong", AUDIENCE, [], "invalid_client"),
        ("default", "https://unknown.example.com/", [], "invalid_target"),
        ("default", AUDIENCE, ["admin"], "invalid_scope"),
    ]
    async with replica(tmp_path, settings) as server, AsyncTokenClient(server.target) as client:
        for name, audience, scopes, code in asked:
            with pytest.raises(Refused) as caught:
                await client.get(name, audience, scopes)
            assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
            assert (caught.value.issuer_error, bool(caught.value.remedy)) == (code, True)
        assert (await client.get("default", AUDIENCE)).is_live
