"""The request parser under fire; `make attack` does the same for longer."""

from pathlib import Path

import pytest
from attack.arena import VICTIM_AUDIENCE, arena
from attack.fuzz_calls import READABLE, UNREADABLE, fuzz_calls, fuzz_proofs

from mintonce import AsyncTokenClient
from mintonce.credentials import ApiKeyFile

PLENTY = {
    "LIMITS__MINTS_PER_SECOND": "1000",
    "LIMITS__MINT_BURST": "10000",
    "LIMITS__REJECTS_PER_SECOND": "1000",
    "LIMITS__REJECT_BURST": "10000",
}


@pytest.mark.slow
async def test_any_request_ends_with_a_status_of_ours(tmp_path: Path) -> None:
    """Whatever stands in its fields, its metadata and its bearer; no token is wrong, no log line forged."""
    async with arena(tmp_path, False, **PLENTY) as here:
        calls = await fuzz_calls(here, READABLE, "readable", examples=250, seed=1)
        proofs = await fuzz_proofs(here, examples=60, seed=2)
        (tmp_path / "key").touch(mode=0o600)
        (tmp_path / "key").write_text(here.victim)
        async with AsyncTokenClient(here.target, bearer=ApiKeyFile(tmp_path / "key")) as client:
            assert (await client.get("default", VICTIM_AUDIENCE)).access_token
    assert not calls.broken
    assert not proofs.broken
    # Much was refused, and something answered, or the examples would prove nothing.
    assert calls.outcomes["INVALID_ARGUMENT"] > 30
    assert calls.outcomes["OK"] > 5


@pytest.mark.slow
async def test_bytes_that_are_no_request_are_an_invalid_argument(tmp_path: Path) -> None:
    """As anything else that a caller sends wrong: it is no fault of the server's."""
    async with arena(tmp_path) as here:
        calls = await fuzz_calls(here, UNREADABLE, "unreadable", examples=60, seed=3)
    assert not calls.broken
    assert set(calls.outcomes) == {"INVALID_ARGUMENT"}
