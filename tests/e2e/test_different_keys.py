"""Replicas whose sealing keys differ, by an operator's mistake, on one store."""

from contextlib import AsyncExitStack
from pathlib import Path

from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.store.keyring import new_keyring
from support.asking import Served, start

AUDIENCE = "https://api.example.com/"
ROUNDS = 50


async def test_each_mints_one_token_and_says_what_is_wrong(
    tmp_path: Path, settings: dict[str, str], issuer: PracticeIssuer, valkey: EmbeddedValkey
) -> None:
    """No storm: each serves its own while it lives, whatever the other commits or the store says."""
    text = new_keyring()
    index = text.split("[[sealing_keys]]\nkey")[0]
    other = index + "[[sealing_keys]]\nkey" + new_keyring().split("[[sealing_keys]]\nkey")[1]
    async with AsyncExitStack() as stack:
        fleet: list[Served] = []
        for name, keys in (("one", text), ("other", other)):
            path = tmp_path / f"{name}.toml"
            path.touch(mode=0o600)
            path.write_text(keys)
            more = {"SEALING_KEYS_FILE": str(path), "REVALIDATE_INTERVAL": "100ms"}
            fleet += await start(stack, tmp_path, settings | more, 1)
        texts = {(await served.get(AUDIENCE)).access_token for _ in range(ROUNDS) for served in fleet}
        alarms = [served.server.events("record_unreadable") for served in fleet]

    assert len(texts) == issuer.posts == 2
    assert all(len(told) <= 1 for told in alarms)
    assert any(alarms)
