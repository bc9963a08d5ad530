"""No secret and no token is seen anywhere but in the answers to those who asked, whatever goes wrong."""

import asyncio
import base64
import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from mintonce import AsyncTokenClient, MintonceError, Token
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.config import load
from mintonce_server.core.broker import Served
from mintonce_server.core.key import TokenKey
from mintonce_server.core.mint import Obtained
from mintonce_server.core.secret import Secret
from mintonce_server.core.token import Minted, Origin
from mintonce_server.core.token import Token as CoreToken
from mintonce_server.issuer.options import ClientCredentials
from support.faulty_issuer import Fault, FaultyIssuer
from support.leaks import LeakChecker
from support.replicas import replica
from support.surroundings import CLIENT_SECRET

AUDIENCE = "https://api.example.com/"
WRONG_SECRET = "another-secret-canary/+%"
OPAQUE = "opaque-token-canary-0123456789"
IN_THE_CLAIMS = "private-claim-canary"

# What an issuer may say that is no token, and that quotes what it was sent.
_GARBAGE = (
    Fault(status=200, body=f"<html>{CLIENT_SECRET}</html>"),
    Fault(status=200, body=f'{{"access_token": "{OPAQUE} \\n", "token_type": "Bearer", "expires_in": 60}}'),
    Fault(status=200, body=f'{{"access_token": "{OPAQUE}", "token_type": "mac", "expires_in": 60}}'),
    Fault(status=200, body=f'{{"access_token": "{OPAQUE}", "token_type": "Bearer", "expires_in": "{CLIENT_SECRET}"}}'),
    Fault(status=401, body=f'{{"error": "invalid_client", "error_description": "no secret {CLIENT_SECRET}"}}'),
    Fault(status=400, body=f'{{"error": "no such secret: {CLIENT_SECRET}"}}'),
    Fault(status=500, body=f"client_secret={CLIENT_SECRET}"),
    Fault(status=302, body=CLIENT_SECRET),
    Fault(status=429, body=CLIENT_SECRET, retry_after=CLIENT_SECRET),
)


def config_with_secrets(directory: Path) -> Path:
    """One more client, whose secret the issuer does not take."""
    config = directory / "mintonce.toml"
    config.write_text(f"""
[clients.wrong]
client_id = "some-client"
client_secret = "{WRONG_SECRET}"
extra = {{claim = "{IN_THE_CLAIMS}"}}
""")
    config.chmod(0o600)
    return config


class Story:
    """What callers do with a server, and what they get to see of it."""

    def __init__(self, client: AsyncTokenClient, leaks: LeakChecker) -> None:
        self.client = client
        self.leaks = leaks
        self.found: list[str] = []
        self.failures = 0

    async def get(self, audience: str, *scopes: str) -> Token:
        token = await self.client.get("default", audience, scopes)
        if not token.access_token.startswith("opaque"):
            self.leaks.know_token(token.access_token)
        self.found += self.leaks.find("the repr of a token", f"{token!r} {token} {[token]}")
        return token

    async def fail(self, call: Callable[[], Awaitable[object]]) -> None:
        """The call fails, and its error is looked at."""
        with pytest.raises(MintonceError) as caught:
            await call()
        self.failures += 1
        self.found += self.leaks.find_in_exception(caught.value)


async def live_through_it(story: Story, issuer: FaultyIssuer, valkey: EmbeddedValkey) -> None:
    """Mints, refusals, garbage, rejections, outages."""
    client = story.client
    token = await story.get(AUDIENCE)
    await story.get(AUDIENCE, "read")
    await story.fail(lambda: client.get("wrong", AUDIENCE))
    await story.fail(lambda: client.get("wrong", AUDIENCE))
    for n, fault in enumerate(_GARBAGE):
        issuer.fault = fault
        await story.fail(partial(client.get, "default", f"https://garbage-{n}.example.com/", timeout=3.0))
    issuer.fault = Fault(status=200, body=f'{{"access_token": "{OPAQUE}", "token_type": "Bearer", "expires_in": 60}}')
    assert (await story.get("https://opaque.example.com/")).access_token == OPAQUE
    issuer.fault = Fault()
    await client.reject("default", AUDIENCE, token=token)
    await story.fail(lambda: client.reject("default", AUDIENCE, fingerprint=b"too short"))
    second = await story.get(AUDIENCE)
    await story.fail(lambda: client.reject("default", AUDIENCE, token=second))
    await client.rotate("default", AUDIENCE, ["read"])
    await story.get(AUDIENCE, "read")
    story.found += story.leaks.find("the list", repr(await client.list_tokens()))
    # What callers put into the wrong field.
    await story.fail(lambda: client.get(second.access_token, AUDIENCE))
    await story.fail(lambda: client.get("default", f"{second.access_token} "))
    await story.fail(lambda: client.get("default", AUDIENCE, [f'"{second.access_token}']))
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        await story.fail(lambda: client.list_tokens(timeout=8.0))
        issuer.fault = Fault(status=503, body=CLIENT_SECRET)
        await story.fail(lambda: client.get("default", "https://cold.example.com/", timeout=3.0))
    finally:
        os.kill(valkey.pid, signal.SIGCONT)


@pytest.mark.slow
async def test_a_server_tells_no_secret_whatever_happens_to_it(
    tmp_path: Path, issuer: FaultyIssuer, valkey: EmbeddedValkey, settings: dict[str, str]
) -> None:
    """At the most talkative log level: neither in its log nor in its arguments nor in what it answers to others."""
    leaks = LeakChecker()
    leaks.know("the client's secret", CLIENT_SECRET)
    leaks.know("the other client's secret", WRONG_SECRET)
    leaks.know("a token", OPAQUE)
    leaks.know("a private claim", IN_THE_CLAIMS)
    leaks.know("the store's password", valkey.url.partition(":")[2].partition("@")[0].lstrip("/:"))
    settings |= {
        "LOG_LEVEL": "debug",
        "REFLECTION": "true",
        "CONFIG": str(config_with_secrets(tmp_path)),
    }
    async with replica(tmp_path, settings) as server:
        async with AsyncTokenClient(server.target) as client:
            story = Story(client, leaks)
            async with client.watch("default", AUDIENCE, timeout=30.0) as watch:
                leaks.know_token((await anext(watch)).access_token)
                await live_through_it(story, issuer, valkey)
        found = story.found + leaks.find_in_arguments(server.process.pid)
        assert await server.stop() == 0
    assert found + leaks.find_in_file(server.log) == []
    # The story was told, or the test would prove nothing.
    assert story.failures == len(_GARBAGE) + 9
    names = {str(line["event"]) for line in server.lines}
    assert names >= {
        "serving",
        "mint_started",
        "minted",
        "committed",
        "mint_failed",
        "rejected",
        "call_failed",
        "stopped",
    }
    assert any("access_denied" in str(line) for line in server.events("mint_failed"))


def test_no_value_shows_its_secret(tmp_path: Path) -> None:
    """In a traceback or a careless print, repr and str are what people see."""
    leaks = LeakChecker()
    leaks.know("a secret", CLIENT_SECRET)
    leaks.know("a token", OPAQUE)
    leaks.know("a private claim", IN_THE_CLAIMS)
    (tmp_path / "secret").write_text(CLIENT_SECRET)
    (tmp_path / "secret").chmod(0o600)
    minted = Minted(Secret(OPAQUE), "Bearer", 60.0, 0.0, ())
    token = CoreToken.of(minted, TokenKey.of("default", AUDIENCE), "0" * 32, 1, 1, 0.0)
    environ = {
        "MINTONCE_CONFIG": str(config_with_secrets(tmp_path)),
        "MINTONCE_OAUTH_DOMAIN": "issuer.example.com",
        "MINTONCE_CLIENT_ID": "some",
        "MINTONCE_CLIENT_SECRET_FILES": str(tmp_path / "secret"),
        "MINTONCE_REDIS_URL": f"redis://user:{CLIENT_SECRET}@127.0.0.1/0",
    }
    settings = load(None, environ)
    assert settings.clients["default"].client_secret == Secret(CLIENT_SECRET)
    values: list[object] = [
        Secret(CLIENT_SECRET),
        minted,
        token,
        Served(token, Origin.MINT),
        Obtained(token, Origin.MINT, 0.0),
        ClientCredentials("id", Secret(CLIENT_SECRET), {"claim": IN_THE_CLAIMS}),
        settings,
        settings.redis,
        settings.redis.safe_url,
        settings.clients,
    ]
    for value in values:
        assert leaks.find(type(value).__name__, f"{value!r} {value} {[value]!r}") == []


@pytest.mark.parametrize(
    "planted",
    [
        CLIENT_SECRET,
        f"client_secret={CLIENT_SECRET}&x=y",
        base64.b64encode(f"my-client-id:{CLIENT_SECRET}".encode()).decode(),
        base64.b64encode(f"id:{CLIENT_SECRET}, and more".encode()).decode(),
        base64.b64encode(f"x:{CLIENT_SECRET}".encode()).decode(),
        CLIENT_SECRET.encode().hex(),
        "another-secret-canary%2F%2B%25",
        "eyJhbGciOiJub25lIn0.c29tZS1wYXlsb2FkLW9mLWEtdG9rZW4tdGhhdC1pcy1sb25n.c2lnbmF0dXJl"[30:70],
    ],
)
def test_the_checker_finds_a_planted_leak(planted: str) -> None:
    """However it is written: as it is, in a form, in base64 behind something else, as a piece."""
    leaks = LeakChecker()
    leaks.know("a secret", CLIENT_SECRET)
    leaks.know("another secret", WRONG_SECRET)
    leaks.know_token("eyJhbGciOiJub25lIn0.c29tZS1wYXlsb2FkLW9mLWEtdG9rZW4tdGhhdC1pcy1sb25n.c2lnbmF0dXJl")
    assert leaks.find("a log", f'{{"event": "minted", "detail": "{planted}"}}')
    assert not leaks.find("a log", '{"event": "minted", "detail": "all is well", "token": "[redacted]"}')


async def test_the_checker_looks_behind_an_exception() -> None:
    """A cause or a note may say what the error itself does not."""
    leaks = LeakChecker()
    leaks.know("a secret", CLIENT_SECRET)

    async def fails() -> None:
        try:
            raise ValueError(CLIENT_SECRET)
        except ValueError as error:
            raise RuntimeError("harmless") from error

    with pytest.raises(RuntimeError) as caught:
        await asyncio.create_task(fails())
    assert leaks.find_in_exception(caught.value) == ["a secret in a ValueError"]
    noted = RuntimeError("harmless")
    noted.add_note(CLIENT_SECRET)
    assert leaks.find_in_exception(noted) == ["a secret in a RuntimeError"]
