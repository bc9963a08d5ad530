"""A writer of Redis against the readers; `make attack` does the same for longer."""

import time
from pathlib import Path

import pytest
from attack.damage import Blow
from attack.fuzz_records import fuzz_records

from mintonce_dev.valkey import EmbeddedValkey
from support.surroundings import issuer_with_log


@pytest.mark.slow
async def test_no_record_makes_a_crash_a_bad_token_or_a_storm(tmp_path: Path) -> None:
    """Whatever a writer of Redis puts under our names: a status of ours, the right token, few POSTs."""
    with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as issuer:
        async with EmbeddedValkey(tmp_path / "valkey", persist=False) as valkey:
            figures = await fuzz_records(tmp_path, issuer, valkey.url, examples=40, seed=1)
    assert not figures.broken
    assert figures.outcomes["OK"] > 60


async def test_no_writer_of_redis_makes_a_token_live_longer(tmp_path: Path) -> None:
    """Not even with numbers that a commit could have written: the end is sealed with the token."""
    later = int(time.time() * 1000) + 7_200_000
    prolonged = [Blow("t", "set", "exp", b"%d" % later)]
    with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as issuer:
        async with EmbeddedValkey(tmp_path / "valkey", persist=False) as valkey:
            figures = await fuzz_records(tmp_path, issuer, valkey.url, examples=1, seed=1, always=[prolonged])
    assert not figures.broken
