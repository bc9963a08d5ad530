"""What callers' proofs are held against, and who hears of its changes."""

import asyncio
from pathlib import Path

from mintonce_server.core.errors import MintonceError
from mintonce_server.guarding import Guarding, Version
from mintonce_server.settings import load
from mintonce_server.telemetry.clock import SystemClock
from support.waiting import wait_until


def test_a_version_changes_when_one_of_its_values_is_replaced() -> None:
    """Also by an equal one, and by the first: a source may have none yet."""
    values: list[object] = [None, ["a"]]

    def first() -> object:
        if values[0] is None:
            raise MintonceError("there is none yet", remedy="Wait.")
        return values[0]

    version = Version()
    version.follow(first)
    version.follow(lambda: values[1])
    none_yet, still = version(), version()
    values[1] = ["a"]
    replaced, again = version(), version()
    values[0] = 7
    assert none_yet == still != replaced == again != version()


async def test_keys_that_were_fetched_anew_are_told_to_watches(tmp_path: Path) -> None:
    """No file changes then, so somebody has to look."""
    policy = tmp_path / "policy.toml"
    policy.touch(mode=0o600)
    policy.write_text('[[rules]]\nname = "a"\ncallers = ["*"]\nclients = ["*"]\naudiences = ["*"]\n')
    settings = load(
        None,
        {
            "MINTONCE_OAUTH_DOMAIN": "acme.example.com",
            "MINTONCE_CLIENT_ID": "id",
            "MINTONCE_CLIENT_SECRET": "secret",
            "MINTONCE_REDIS_URL": "redis://127.0.0.1:1/0",
            "MINTONCE_POLICY_FILE": str(policy),
            "MINTONCE_RELOAD_INTERVAL": "100ms",
            "MINTONCE_JWT_ISSUERS__CLUSTER__ISSUER": "https://issuer.example.com",
            "MINTONCE_JWT_ISSUERS__CLUSTER__AUDIENCES": "mintonce",
            "MINTONCE_JWT_ISSUERS__CLUSTER__JWKS_URL": "https://127.0.0.1:1/keys",
        },
    )
    told: list[int] = []
    guarding = Guarding(settings, SystemClock(), lambda: told.append(1))
    fetched = [object()]
    guarding.identities.follow(lambda: fetched[0])
    looking = asyncio.create_task(guarding.endless["fetched keys"]())
    try:
        await asyncio.sleep(0)
        fetched[0] = object()
        await wait_until(lambda: told)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    assert told == [1]
