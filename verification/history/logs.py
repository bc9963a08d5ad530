"""Histories from what a run leaves behind: the replicas' JSON logs and the issuer's log."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, cast

from history.records import Post, Step

from mintonce_server.core.key import KeyHasher, TokenKey

EVENTS: Final = frozenset(
    {
        "mint_started", "minted", "mint_failed", "committed", "commit_refused",
        "lease_lost", "waited", "rejected", "restored", "store_failed", "adopted", "barrier_raised",
        "issuer_repeated_token", "issuer_reissued_rejected_token",
    }
)  # fmt: skip
"""Of observability/journal.py. All else in a log is not about keys."""


def read_steps(
    lines: Iterable[str], replica: str, names: Mapping[str, str] | None = None, ahead: float = 0.0
) -> list[Step]:
    """The steps in a replica's log; what is not one is passed over, as is half a line that a kill left.

    `names`: audiences by key hash. `ahead`: seconds by which the replica's wall clock was ahead of this host's.
    """
    parsed = (_parsed(line) for line in lines)
    return [_step(line, replica, names or {}, ahead) for line in parsed if line and line.get("event") in EVENTS]


def read_posts(lines: Iterable[str]) -> list[Post]:
    """The issuer's own log (support.surroundings.posts gives the same as objects)."""
    parsed = (_parsed(line) for line in lines)
    return [Post(post["time"], post["audience"], post["status"], post["jti"]) for post in parsed if "jti" in post]


def names_of(audiences: Iterable[str], hasher: KeyHasher, client: str = "default") -> dict[str, str]:
    """Audiences by the key hashes that a replica gives them, for tokens without scopes. See naming.hasher_of."""
    return {hasher(TokenKey.of(client, audience)): audience for audience in audiences}


def _parsed(line: str) -> dict[str, Any]:
    try:
        parsed: object = json.loads(line)
    except ValueError:
        return {}
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}


def _step(line: Mapping[str, Any], replica: str, names: Mapping[str, str], ahead: float) -> Step:
    key_hash = str(line.get("key_hash", ""))
    return Step(
        datetime.fromisoformat(line["timestamp"]).timestamp() - ahead,
        replica,
        line["event"],
        key_hash,
        int(line.get("generation", 0)),
        names.get(key_hash, ""),
        line.get("retry_after"),
        line.get("lifetime"),
        str(line.get("refusal") or line.get("reason") or line.get("cause") or ""),
        int(line.get("provisional", 0)),
    )
