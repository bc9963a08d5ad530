"""Whose token it is: a client that has moved to another tenant, and two installations on one Redis."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from mintonce import Origin, Token
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from support.asking import asking, start, watching
from support.commands import mintonced
from support.peers import read_request
from support.servers import Command, looking_into, names
from support.waiting import wait_until

AUDIENCE = "https://api.example.com/"
REVALIDATE = 0.5
ROUNDS = 3
"""So many times each replica asks the store about what it holds."""


@dataclass
class Domain:
    """An OAuth domain with a tenant for each way to ask, and a new token each time. It takes JSON and forms."""

    url: str = ""
    posts: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One POST."""
        head, body = await read_request(reader)
        is_json = b"content-type: application/json" in head.lower()
        asked = json.loads(body) if is_json else dict(parse_qsl(body.decode()))
        self.posts.append({"style": "json" if is_json else "form", "path": head.split()[1].decode(), **asked})
        answer = json.dumps({"access_token": f"token-{len(self.posts)}", "token_type": "Bearer", "expires_in": 3600})
        fields = f"Content-Type: application/json\r\nContent-Length: {len(answer)}\r\nConnection: close"
        writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{answer}".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def domain() -> AsyncGenerator[Domain]:
    """It listens until the end of the block."""
    running = Domain()
    async with await asyncio.start_server(running.serve, "127.0.0.1", 0) as server:
        running.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield running


def of_tenants(url: str, redis_url: str) -> list[Mapping[str, str]]:
    """Settings with the same client name, each as the one before but for one of them."""
    first = {
        "ISSUERS__DEFAULT__TOKEN_URL": f"{url}/a/oauth/token",
        "ISSUERS__DEFAULT__REQUEST": "json",
        "CLIENT_ID": "id-a",
        "CLIENT_SECRET": "a-secret-of-a-test",
        "REDIS_URL": redis_url,
        "REVALIDATE_INTERVAL": f"{REVALIDATE}s",
    }
    changes: tuple[Mapping[str, str], ...] = (
        {"ISSUERS__DEFAULT__TOKEN_URL": f"{url}/b/oauth/token"},
        {"CLIENT_ID": "id-b"},
        {"CLIENTS__DEFAULT__EXTRA__ORGANIZATION": "org_b"},
        {"ISSUERS__DEFAULT__REQUEST": "form"},
        {"ISSUERS__DEFAULT__AUDIENCE_PARAMETER": "audience"},
    )
    tenants: list[Mapping[str, str]] = [first]
    for change in changes:
        tenants.append({**tenants[-1], **change})
    return tenants


async def get_and_list(directory: Path, settings: Mapping[str, str]) -> Token:
    """What a replica of its own serves, which lists it and nothing else, and has nothing to complain of."""
    async with AsyncExitStack() as stack:
        (served,) = await start(stack, directory, settings, 1)
        token = await served.get(AUDIENCE)
        listed = (await served.client.list_tokens()).tokens
        assert [(found.client, found.generation) for found in listed] == [("default", token.generation)]
        assert served.server.events("record_unreadable") + served.server.events("restored") == []
    return token


@pytest.mark.slow
async def test_tenants_under_one_client_name_have_a_token_each(tmp_path: Path, valkey: EmbeddedValkey) -> None:
    """Another token_url, client_id, extra, style or audience parameter; back at the first, its own is there."""
    async with domain() as issuer:
        tenants = of_tenants(issuer.url, valkey.url)
        tokens = [await get_and_list(tmp_path, settings) for settings in tenants]
        assert [token.access_token for token in tokens] == [f"token-{number + 1}" for number in range(len(tenants))]
        asked = [
            (post["path"][:2], post["client_id"], post.get("organization", ""), post["style"], "resource" in post)
            for post in issuer.posts
        ]
        assert asked == [
            ("/a", "id-a", "", "json", False),
            ("/b", "id-a", "", "json", False),
            ("/b", "id-b", "", "json", False),
            ("/b", "id-b", "org_b", "json", False),
            ("/b", "id-b", "org_b", "form", True),
            ("/b", "id-b", "org_b", "form", False),
        ]
        again = await get_and_list(tmp_path, tenants[0])
        assert (again.access_token, again.origin) == ("token-1", Origin.STORE)
        assert len(issuer.posts) == len(tenants)


@pytest.mark.slow
async def test_replicas_of_two_tenants_at_once_serve_each_their_own(tmp_path: Path, valkey: EmbeddedValkey) -> None:
    """While an update rolls: asked on and on, and through rotations on both sides, neither serves the other's."""
    async with domain() as issuer, AsyncExitStack() as stack:
        first, second = of_tenants(issuer.url, valkey.url)[:2]
        old, new = [(await start(stack, tmp_path, settings, 1))[0] for settings in (first, second)]
        async with asking([old], AUDIENCE, 5.0) as of_old, asking([new], AUDIENCE, 5.0) as of_new:
            for served in (old, new):
                before = await served.get(AUDIENCE)
                rotated = await served.client.rotate("default", AUDIENCE)
                assert rotated.previous_generation == before.generation
            until = time.time() + ROUNDS * REVALIDATE
            await wait_until(lambda: min(of_old[-1].began, of_new[-1].began) > until, timeout=20.0)
        paths = {f"token-{number + 1}": post["path"][:2] for number, post in enumerate(issuer.posts)}
        for answers, path in ((of_old, "/a"), (of_new, "/b")):
            assert {paths[answer.token.access_token] if answer.token else answer.error for answer in answers} == {path}
        assert sorted(paths.values()) == ["/a", "/a", "/b", "/b"]


async def parts_of(command: Command, prefix: str) -> dict[str, object]:
    """All records of an installation, byte by byte."""
    records = [name for name in await names(command) if name.startswith(f"{prefix}:{{") and name.endswith(":t")]
    return {name: (await command("DUMP", name), await command("PEXPIRETIME", name)) for name in records}


@pytest.fixture
def sealed(settings: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The smallest set-up with a file of sealing keys."""
    return settings | {"SEALING_KEYS_FILE": str(tmp_path / "keys.toml")}


async def keygen(directory: Path, *more: str) -> None:
    """Write the file of sealing keys, or put a key in front that seals at once."""
    made = await mintonced("keygen", *more, directory=directory)
    assert made.code == 0, made.err
    if not more:
        (directory / "keys.toml").touch(mode=0o600)
        (directory / "keys.toml").write_text(made.out)


@pytest.mark.slow
async def test_two_installations_share_one_redis(
    tmp_path: Path, sealed: dict[str, str], issuer: PracticeIssuer, valkey: EmbeddedValkey
) -> None:
    """The same settings and sealing keys, but for the prefix: each mints, lists, rotates and reseals its own."""
    await keygen(tmp_path)
    async with AsyncExitStack() as stack:
        command = await stack.enter_async_context(looking_into(valkey.url))
        here, there = sealed, sealed | {"REDIS__PREFIX": "mintonce:two"}
        one, two = [(await start(stack, tmp_path, settings, 1))[0] for settings in (here, there)]
        tokens = [await served.get(AUDIENCE) for served in (one, two)]
        assert tokens[0].access_token != tokens[1].access_token
        assert issuer.posts == 2
        for served, token in zip((one, two), tokens, strict=True):
            listed = (await served.client.list_tokens()).tokens
            assert [found.generation for found in listed] == [token.generation]

        untouched = await parts_of(command, "mintonce:two")
        async with watching(two, AUDIENCE) as sent:
            await wait_until(lambda: bool(sent))
            await one.client.rotate("default", AUDIENCE)
            assert (await one.get(AUDIENCE)).generation > tokens[0].generation
            assert issuer.posts == 3
            await keygen(tmp_path, "--rotate", "keys.toml", "--after", "0")
            ended = await mintonced("reseal", directory=tmp_path, settings=here)
            assert ended.out == "resealed: 1; already with the newest key: 0; unreadable: 0\n"
            assert (await two.get(AUDIENCE)).access_token == tokens[1].access_token
        assert [token.generation for token in sent] == [tokens[1].generation]
        assert await parts_of(command, "mintonce:two") == untouched
        assert two.server.events("wake_dropped") + two.server.events("record_unreadable") == []
        assert {name.partition("{")[0] for name in await names(command)} == {"mintonce:", "mintonce:two:"}
