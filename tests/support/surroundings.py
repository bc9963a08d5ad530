"""What a fleet stands in: a practice issuer that logs its POSTs, and the settings that lead to it and to a store."""

import base64
import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.core.secret import Secret
from support.faulty_issuer import FaultyIssuer

CLIENT_ID = "my-client-id"
CLIENT_SECRET = "practice-secret-canary"  # of the practice issuer in a test only


@contextmanager
def issuer_with_log(log: Path, lifetime: float) -> Generator[FaultyIssuer]:
    """An OAuth domain that knows one client and any audience. `lifetime` of its tokens in seconds."""
    with FaultyIssuer(clients={CLIENT_ID: Secret(CLIENT_SECRET)}, audiences=None, lifetime=lifetime, log=log) as issuer:
        yield issuer


def smallest_settings(issuer: PracticeIssuer, redis_url: str) -> dict[str, str]:
    """What an operator sets, without the MINTONCE_ prefix: one client, named `default`."""
    return {
        "OAUTH_DOMAIN": issuer.token_url.removesuffix("/oauth/token"),
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "REDIS_URL": redis_url,
    }


def posts(log: Path) -> list[dict[str, Any]]:
    """What the issuer itself wrote down."""
    return [json.loads(line) for line in log.read_text().splitlines()]


def claims(token: str) -> dict[str, Any]:
    """The payload of a JWT, unverified: for whom and what the issuer minted it."""
    payload = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return decoded
