"""What a running server gives away to others of the same machine."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from support.replicas import replica
from support.surroundings import issuer_with_log, smallest_settings


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[PracticeIssuer]:
    with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as running:
        yield running


async def test_a_server_leaves_no_core_and_no_process_may_attach(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """Its memory holds every secret: no core dump, not dumpable, and its socket is for its own user."""
    socket = tmp_path / "s"
    async with EmbeddedValkey(tmp_path / "valkey", persist=False) as valkey:
        settings = {**smallest_settings(issuer, valkey.url), "LISTEN": f"unix:{socket}"}
        async with replica(tmp_path, settings) as server:
            limits = Path(f"/proc/{server.process.pid}/limits").read_text()
            owner = os.stat(f"/proc/{server.process.pid}/environ").st_uid
            mode = socket.stat().st_mode & 0o777
            told = server.events("not_hardened")

    (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core[4:6] == ["0", "0"]
    assert owner == 0  # proc(5): what is not dumpable belongs to root there, whichever user runs it
    assert mode == 0o600
    assert told == []


async def test_a_socket_may_be_opened_to_a_group(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """By the mode that is set, as for a sidecar."""
    async with EmbeddedValkey(tmp_path / "valkey", persist=False) as valkey:
        settings = {**smallest_settings(issuer, valkey.url), "LISTEN": f"unix:{tmp_path / 's'}", "SOCKET_MODE": "0660"}
        async with replica(tmp_path, settings):
            assert (tmp_path / "s").stat().st_mode & 0o777 == 0o660
