"""The short fault run: each class of fault once, with fixed seeds. `make chaos` is the long one.

An empty read-only store and broken TLS of an issuer are in tests/e2e/test_faults_at_the_edges.py.
"""

from collections.abc import Mapping
from typing import Final

import pytest
from chaos import catalogue
from chaos.campaign import campaign
from chaos.digest import Digest
from chaos.rig import Setup, TopologyName

SEED = 20
GROUPS: Final[Mapping[str, tuple[TopologyName, str]]] = {
    "crashes": (
        "single",
        "kill-after-acquire kill-before-post kill-before-answer kill-before-commit kill-after-commit stop-past-lease",
    ),
    "store": (
        "single",
        "store-killed store-stopped store-emptied script-flush answers-lost replica-hole subscriber-hole",
    ),
    "hostile": (
        "single",
        "replies-garbled wakes-forged generations-invented",
    ),
    "minted without the store": (
        "single",
        "lone-flaky-link lone-forgotten-clock",
    ),
    "issuer, odd answers": ("single", " ".join(name for name, one in catalogue.ALL.items() if not one.alone)),
    "issuer in trouble": (
        "single",
        "issuer-hang issuer-drip issuer-429-seconds issuer-429-date issuer-500 issuer-503 issuer-gone",
    ),
    "callers, clocks and limits": (
        "single",
        "issuer-and-store-gone cancellations reject-storm reject-in-flight clock-ahead",
    ),
    "sentinel": ("sentinel", "lost-writes"),
    "cluster": ("cluster", "lost-writes slot-migration"),
}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("group", GROUPS)
async def test_what_was_promised_is_kept_whatever_breaks(group: str) -> None:
    """POSTs, answers and staleness stay within their bounds, and everything heals (docs/guarantees.md)."""
    topology, names = GROUPS[group]
    digests = await campaign(Setup(topology), SEED, [catalogue.ALL[name] for name in names.split()], _nothing)
    broken = [str(digest) for digest in digests if digest.problems]
    assert not broken, "\n".join(broken)


def _nothing(_: Digest) -> None:
    """pytest says what came out."""
