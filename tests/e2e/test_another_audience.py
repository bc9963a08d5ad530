"""An issuer that hands out tokens for another audience than the one that was asked for, as many do without a word."""

import asyncio
import base64
import json
from pathlib import Path

import pytest

from mintonce import AsyncTokenClient, MintonceError
from mintonce_dev.valkey import EmbeddedValkey
from support.peers import answers, peer
from support.replicas import replica

ASKED = "https://api.example.com/"
OTHER = "https://other.example.com/"


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


TOKEN = f"{part({'alg': 'RS256'})}.{part({'aud': [OTHER], 'scope': 'all'})}.c2ln"
ANSWER = json.dumps({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}).encode()


def three_issuers(token_url: str) -> dict[str, str]:
    """One for each word of audience_check, with a client of its name."""
    settings: dict[str, str] = {}
    for check in ("WARN", "REFUSE", "OFF"):
        settings |= {
            f"ISSUERS__{check}__AUDIENCE_CHECK": check.lower(),
            f"ISSUERS__{check}__TOKEN_URL": token_url,
            f"CLIENTS__{check}__ISSUER": check.lower(),
            f"CLIENTS__{check}__CLIENT_ID": "id",
            f"CLIENTS__{check}__CLIENT_SECRET": "secret-canary",
        }
    return settings


async def test_it_is_reported_or_refused_as_the_issuer_is_set(tmp_path: Path, valkey: EmbeddedValkey) -> None:
    """Refused with a pause, so that a repetition costs nothing; the log and the audit log have both audiences."""
    posts: list[bytes] = []
    say = answers(200, ANSWER, Content_Type="application/json")

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        posts.append(b"")
        await say(reader, writer)

    async with peer(script) as token_url:
        audit_file = {"REDIS_URL": valkey.url, "AUDIT_FILE": str(tmp_path / "audit.jsonl")}
        settings = audit_file | three_issuers(token_url)
        async with replica(tmp_path, settings) as server, AsyncTokenClient(server.target, timeout=10.0) as client:
            for name in ("warn", "off"):
                assert (await client.get(name, ASKED)).scopes == ("all",)
            for _ in range(3):
                with pytest.raises(MintonceError) as caught:
                    await client.get("refuse", ASKED)
                assert caught.value.reason == "ISSUER_MALFORMED"
                assert 0 < (caught.value.retry_after or 0) <= 30
                assert OTHER not in f"{caught.value} {caught.value.remedy}"
            told = {(line["client"], line["asked"], *line["granted"]) for line in server.events("audience_differs")}

    assert len(posts) == 3
    assert told == {("warn", ASKED, OTHER), ("refuse", ASKED, OTHER)}
    audit = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    mints = [
        (line["client"], line["outcome"], line["audience"], line["granted_audience"], line["granted_scopes"])
        for line in audit
        if line["kind"] == "mint"
    ]
    assert mints == [
        ("warn", "minted", ASKED, [OTHER], ["all"]),
        ("off", "minted", ASKED, [OTHER], ["all"]),
        ("refuse", "failed", ASKED, [OTHER], ["all"]),
    ]
