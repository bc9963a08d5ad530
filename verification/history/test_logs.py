"""Histories from what a run leaves behind, read from real parts."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path

import grpc.aio
from history.checker import Call, History, Post, check, figures, names_of, read_posts, read_steps
from history.tale import API

from mintonce.v1 import tokens_pb2, tokens_pb2_grpc, types_pb2
from mintonce_dev.valkey import EmbeddedValkey
from support.naming import hasher_of
from support.replicas import replica
from support.surroundings import claims, issuer_with_log, smallest_settings

LINE = {
    "timestamp": "2026-01-02T03:04:05.678Z",
    "level": "warning",
    "event": "mint_failed",
    "key_hash": "abc",
    "generation": 7,
    "reason": "ISSUER_UNAVAILABLE",
    "retry_after": 1.5,
}
UNIX = 1767323045.678


def test_a_log_line_becomes_a_step() -> None:
    """With the audience of its key, and the time of this host's clock."""
    (step,) = read_steps([json.dumps(LINE)], "a", {"abc": API}, ahead=3600.0)
    assert (step.event, step.replica, step.audience, step.generation) == ("mint_failed", "a", API, 7)
    assert (step.time, step.retry_after, step.detail) == (UNIX - 3600.0, 1.5, "ISSUER_UNAVAILABLE")


def test_what_is_not_about_keys_is_passed_over() -> None:
    """Other events, text of libraries, and the half line that a kill left."""
    lines = [json.dumps({**LINE, "event": "serving"}), "Traceback", "[1]", json.dumps(LINE)[:40], ""]
    assert read_steps(lines, "a") == []


def test_the_issuers_log_becomes_posts() -> None:
    """As many as there are whole lines."""
    line = json.dumps({"time": 1.5, "client_id": "x", "audience": API, "scope": "", "status": 200, "jti": "j"})
    assert read_posts([line, line[:20]]) == [Post(1.5, API, 200, "j")]


async def get(target: str, name: str) -> Call:
    """One GetToken, written down."""
    async with grpc.aio.insecure_channel(target) as channel:
        began = time.time()
        answer = await tokens_pb2_grpc.TokenServiceStub(channel).GetToken(
            tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client="default", audience=API)), timeout=10.0
        )
        ended = time.time()
    said = claims(answer.token.access_token)
    origin = types_pb2.Origin.Name(answer.token.origin).removeprefix("ORIGIN_")
    return Call(
        "get", name, API, began, ended, 10.0, "OK", generation=answer.token.generation, jti=said["jti"],
        aud=said["aud"], expires_at=said["exp"], origin=origin,
    )  # fmt: skip


async def test_a_real_fleet_has_kept_everything(tmp_path: Path) -> None:
    """Two replicas, a herd on a cold key: one POST, one generation, no violation."""
    history = History(replicas=("0", "1"))
    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(EmbeddedValkey(tmp_path / "valkey", persist=False))
        issuer = stack.enter_context(issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0))
        settings = {**smallest_settings(issuer, valkey.url), "LOG_LEVEL": "debug"}
        fleet = await asyncio.gather(
            *(stack.enter_async_context(replica(_made(tmp_path / name), settings)) for name in history.replicas)
        )
        asked = [get(fleet[number % 2].target, str(number % 2)) for number in range(10)]
        history.calls += await asyncio.gather(*asked)
    for name, running in zip(history.replicas, fleet, strict=True):
        history.steps += read_steps(running.log.read_text().splitlines(), name, names_of([API], hasher_of(settings)))
    history.posts += read_posts((tmp_path / "posts.jsonl").read_text().splitlines())

    assert check(history) == []
    measured = figures(history)
    assert (measured.posts, measured.generations, measured.keys, measured.operations) == (1, 1, 1, 10)
    assert {"mint_started", "minted", "committed"} <= {step.event for step in history.steps if step.audience == API}


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
