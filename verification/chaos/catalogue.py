"""All scenarios by name."""

from collections.abc import Mapping
from typing import Final

from chaos import crashes, hostile, issuer_wide, issuers, lone_mints, mixed, stores, tenants, troubles
from chaos.rig import TopologyName
from chaos.stage import Scenario

ALL: Final[Mapping[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        *crashes.SCENARIOS,
        *stores.SCENARIOS,
        *issuers.SCENARIOS,
        *issuer_wide.SCENARIOS,
        *troubles.SCENARIOS,
        *lone_mints.SCENARIOS,
        *hostile.SCENARIOS,
        *tenants.SCENARIOS,
        *mixed.SCENARIOS,
    )
}


def of(topology: TopologyName) -> list[Scenario]:
    """Those that make sense there."""
    return [scenario for scenario in ALL.values() if topology in scenario.topologies]
