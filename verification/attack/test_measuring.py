"""An attack can be measured by any user, though only root may look into the product's process."""

import asyncio
from pathlib import Path

from attack.arena import arena

from support.waiting import wait_until

CONNECTIONS = 5


async def test_descriptors_of_a_server_can_be_counted(tmp_path: Path) -> None:
    """Each connection is one more."""
    async with arena(tmp_path) as here:
        before = here.descriptors()
        host, _, port = here.target.rpartition(":")
        opened = [await asyncio.open_connection(host, int(port)) for _ in range(CONNECTIONS)]
        await wait_until(lambda: here.descriptors() >= before + CONNECTIONS)
        for _, writer in opened:
            writer.close()
        await wait_until(lambda: here.descriptors() < before + CONNECTIONS)
