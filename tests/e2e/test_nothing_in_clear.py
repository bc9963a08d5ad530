"""What a thief of the store finds: its dump, what it is sent, what it says; and what the audit log tells."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis

from mintonce_server.dev.practice_issuer import PracticeIssuer
from mintonce_server.dev.valkey import EmbeddedValkey
from mintonce_server.store.keyring import new_keyring
from support.asking import start
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


async def test_the_store_shows_no_token_secret_client_or_audience(
    tmp_path: Path, settings: dict[str, str], issuer: PracticeIssuer, valkey: EmbeddedValkey
) -> None:
    """Neither in its dump and its log of commands on disk, nor in what goes to it or out on its channels."""
    keys, config = tmp_path / "keys.toml", tmp_path / "mintonce.toml"
    for path, text in ((keys, new_keyring()), (config, CONFIG)):
        path.touch(mode=0o600)
        path.write_text(text)
    more = {"SEALING_KEYS_FILE": str(keys), "AUDIT_FILE": str(tmp_path / "audit.jsonl"), "CONFIG": str(config)}
    leaks, heard = LeakChecker(), list[str]()
    for what, text in (("the secret", CLIENT_SECRET), ("a client", "canary-client"), ("an audience", AUDIENCE)):
        leaks.know(what, text)
    leaks.know("a scope", SCOPE)
    redis: Any = Redis.from_url(valkey.url)  # pyright: ignore[reportUnknownMemberType] # untyped
    async with AsyncExitStack() as stack:
        stack.push_async_callback(redis.aclose)
        monitor = await stack.enter_async_context(redis.monitor())

        async def listen() -> None:
            while True:
                heard.append(str(await monitor.next_command()))

        listening = asyncio.create_task(listen())
        (served,) = await start(stack, tmp_path, settings | more, 1)
        token = await served.client.get("canary-client", AUDIENCE)
        scoped = await served.client.get("canary-client", AUDIENCE, [SCOPE])
        for handed_out in (token, scoped):
            leaks.know_token(handed_out.access_token)
        assert await served.client.reject("canary-client", AUDIENCE, generation=1) is False
        await served.client.list_tokens()
        await served.client.rotate("canary-client", AUDIENCE)
        issuer.fault = issuer.fault.__class__(status=400, body='{"error": "invalid_scope"}')
        await asyncio.gather(served.client.get("canary-client", AUDIENCE, ["other:scope"]), return_exceptions=True)
        await redis.execute_command("SAVE")
        await redis.execute_command("PING", "the last word")
        await wait_until(lambda: any("the last word" in line for line in heard))
        listening.cancel()
        for name in cast(list[bytes], await redis.keys("*")):
            kind = f"the key {name!r}"
            assert leaks.find(kind, name.decode() + str(await redis.hgetall(name))) == []
        assert any("EVALSHA" in line or "evalsha" in line for line in heard)
        assert leaks.find("what MONITOR shows", "\n".join(heard)) == []
        files = [path for path in (tmp_path / "valkey").rglob("*") if path.is_file()]
        assert any(path.suffix == ".rdb" for path in files)
        assert [found for path in files for found in leaks.find_in_file(path)] == []

    audit = (tmp_path / "audit.jsonl").read_text()
    assert AUDIENCE in audit  # it says who asked for what: that is its purpose
    assert "canary-client" in audit
    assert CLIENT_SECRET not in audit
    assert token.access_token not in audit
    assert token.access_token[-40:] not in audit
