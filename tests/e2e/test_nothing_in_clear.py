"""What a thief of the store finds: its dump, what it is sent, what it says; and what the audit log tells."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis

from mintonce import Token
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.store.keyring import new_keyring
from support.asking import Served, start
from support.faulty_issuer import Fault, FaultyIssuer
from support.leaks import LeakChecker
from support.surroundings import CLIENT_SECRET
from support.waiting import wait_until

AUDIENCE = "https://canary-api.example.com/"
SCOPE = "canary:read"
CONFIG = """
[clients.canary-client]
client_id = "my-client-id"
client_secret = "practice-secret-canary"
"""


@asynccontextmanager
async def overheard(redis: Any) -> AsyncGenerator[list[str]]:
    """What MONITOR shows, to the last word."""
    heard: list[str] = []
    async with redis.monitor() as monitor:

        async def listen() -> None:
            while True:
                heard.append(str(await monitor.next_command()))

        listening = asyncio.create_task(listen())
        yield heard
        await redis.execute_command("PING", "the last word")
        await wait_until(lambda: any("the last word" in line for line in heard))
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def lived_through(served: Served, issuer: FaultyIssuer) -> list[Token]:
    """All that callers and operators do; the tokens that they got."""
    client = served.client
    tokens = [await client.get("canary-client", AUDIENCE), await client.get("canary-client", AUDIENCE, [SCOPE])]
    assert await client.reject("canary-client", AUDIENCE, generation=1) is False
    await client.list_tokens()
    await client.rotate("canary-client", AUDIENCE)
    issuer.fault = Fault(status=400, body='{"error": "invalid_scope"}')
    await asyncio.gather(client.get("canary-client", AUDIENCE, ["other:scope"]), return_exceptions=True)
    return tokens


async def test_the_store_shows_no_token_secret_client_or_audience(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer, valkey: EmbeddedValkey
) -> None:
    """Neither in its dump on disk, nor in what goes to it or out on its channels; and the audit log shows no secret."""
    keys, config = tmp_path / "keys.toml", tmp_path / "mintonce.toml"
    for path, text in ((keys, new_keyring()), (config, CONFIG)):
        path.touch(mode=0o600)
        path.write_text(text)
    more = {"SEALING_KEYS_FILE": str(keys), "AUDIT_FILE": str(tmp_path / "audit.jsonl"), "CONFIG": str(config)}
    redis: Any = Redis.from_url(valkey.url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(redis.aclose)
        async with overheard(redis) as heard:
            (served,) = await start(stack, tmp_path, settings | more, 1)
            tokens = await lived_through(served, issuer)
            await redis.execute_command("SAVE")
        names = cast(list[bytes], await redis.keys("*"))
        held = [f"{name!r} {await redis.hgetall(name)}" for name in names]

    leaks = LeakChecker()
    for what, text in (("the secret", CLIENT_SECRET), ("a client", "canary-client"), ("an audience", AUDIENCE)):
        leaks.know(what, text)
    leaks.know("a scope", SCOPE)
    for token in tokens:
        leaks.know_token(token.access_token)
    files = [path for path in (tmp_path / "valkey").rglob("*") if path.is_file()]
    assert any(path.suffix == ".rdb" for path in files)
    assert any("evalsha" in line.lower() for line in heard)
    assert leaks.find("the keys", "\n".join(held)) == []
    assert leaks.find("what MONITOR shows", "\n".join(heard)) == []
    assert [found for path in files for found in leaks.find_in_file(path)] == []

    audit = (tmp_path / "audit.jsonl").read_text()
    assert AUDIENCE in audit  # it says who asked for what: that is its purpose
    assert CLIENT_SECRET not in audit
    assert not any(token.access_token[-40:] in audit for token in tokens)
