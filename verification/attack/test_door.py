"""The token endpoint under fire; `make attack` does the same for longer."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from attack import door_floods
from attack.arena import Arena, arena
from attack.bystander import Bystander, DoorBystander
from attack.door_floods import DoorFlood
from attack.fuzz_door import fuzz_bodies, fuzz_heads
from attack.test_fuzz_calls import PLENTY

SECONDS = 1.0
"""Of each flood."""
MOST_MEMORY = 200 << 20
MOST_LINES_OF_UNKNOWN = 100
"""In the audit log: failed proofs are counted together."""


async def flooded(here: Arena, each: Mapping[str, DoorFlood]) -> None:
    """One flood after the other, and beside each the calls of others: by gRPC, and at the endpoint."""
    before = here.resident()
    for name, flood in each.items():
        grpc, http, until = Bystander(), DoorBystander(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(grpc.call(here, until))
            group.create_task(http.call(here, until))
            assert await flood(here.door_url, here.attacker, SECONDS) >= 50, name
            until.set()
        assert not grpc.failed + http.failed, name
        assert grpc.took, name
        assert http.took, name
    assert here.server.process.returncode is None
    assert here.resident() - before < MOST_MEMORY


@pytest.mark.slow
async def test_a_flood_at_the_token_endpoint_harms_no_other_caller(tmp_path: Path) -> None:
    """Neither one of gRPC nor one of the endpoint. Guessed keys do not fill the audit log."""
    async with arena(tmp_path, LOG_LEVEL="info") as here:
        await flooded(here, door_floods.ALL)
        records = [json.loads(line) for line in here.audit.read_text().splitlines()]
    unknown = [record for record in records if record.get("caller") == "unknown"]
    assert 0 < len(unknown) < MOST_LINES_OF_UNKNOWN


@pytest.mark.slow
async def test_handshakes_at_the_token_endpoint_harm_no_other_caller(tmp_path: Path) -> None:
    """Of TLS, up to five hundred a second."""
    async with arena(tmp_path, True, LOG_LEVEL="info") as here:
        await flooded(here, door_floods.WITH_TLS)


@pytest.mark.slow
async def test_any_bytes_at_the_token_endpoint_get_an_answer_of_ours(tmp_path: Path) -> None:
    """Whatever stands in heads and bodies; no token is wrong, no log line forged."""
    async with arena(tmp_path, False, **PLENTY, TOKEN_ENDPOINT__FAILED_PROOFS_PER_SECOND="0") as here:
        bodies = await fuzz_bodies(here, examples=150, seed=1)
        heads = await fuzz_heads(here, examples=100, seed=2)
    assert not bodies.broken
    assert not heads.broken
    # Much was refused, and something answered, or the examples would prove nothing.
    assert bodies.outcomes["400"] > 20
    assert bodies.outcomes["401"] > 10
    assert bodies.outcomes["200"] > 5
    assert heads.outcomes["400"] > 20
    assert len(heads.outcomes) > 3
