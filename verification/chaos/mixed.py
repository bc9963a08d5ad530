"""Two kinds of trouble at the same time, by the luck of the seed."""

import asyncio
from collections.abc import Mapping
from typing import Final

from chaos import hostile, issuers, lone_mints, stores, troubles
from chaos.rig import TopologyName
from chaos.stage import Inject, Scenario, Stage
from chaos.workload import Load

from support.fault_proxy import Fate

EVERYWHERE: Final = (
    stores.scripts_flushed, stores.emptied, issuers.killed, issuers.frozen, troubles.cancellations,
    troubles.one_rejection_many_times, hostile.wakes_forged, hostile.generations_invented,
)  # fmt: skip
CHOICE: Final[Mapping[TopologyName, tuple[Inject, ...]]] = {
    "single": (
        *EVERYWHERE, stores.stopped, stores.killed, stores.replies_lost(Fate.VANISH), stores.replica_in_a_hole,
        stores.connections_cut, stores.slow, hostile.empty_and_read_only, hostile.replies_garbled,
        lone_mints.behind_a_flaky_link(),
    ),
    "sentinel": (*EVERYWHERE, stores.primary_killed, stores.failed_over),
    "cluster": (*EVERYWHERE, stores.primary_killed, stores.failed_over),
}  # fmt: skip
"""What can go on beside each other. What scenarios expect of their own keys alone is not looked at here."""


async def two_at_once(stage: Stage) -> None:
    """Only the rules of the history are held against them: a scenario's own expectations know one fault."""
    choice = CHOICE[stage.rig.setup.topology]
    first, second = stage.chance.sample(choice, 2)
    stage.notes |= {"first": choice.index(first), "second": choice.index(second)}
    await asyncio.gather(first(stage), _a_little_later(stage, second))
    stage.broken.clear()


async def _a_little_later(stage: Stage, inject: Inject) -> None:
    await asyncio.sleep(stage.chance.uniform(0.0, 0.5))
    await inject(stage)


SCENARIOS: Final = (Scenario("mixed", two_at_once, load=Load(rejects=0.02)),)
