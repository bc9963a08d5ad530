"""A connection that carries nothing any more, and does not say so."""

from time import monotonic, sleep

import pytest

from conformance.harness.kit import Serve
from conformance.harness.testee import Testee
from conformance.servers.line import Line
from conformance.servers.scripted import FIRST, KEY, Scripted

NOTICED_WITHIN = 70.0
IDLE = 2.0
"""Seconds after which no ping is under way any more that came with the traffic: its end would be noticed sooner."""


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_case_35_a_silent_cut_is_noticed(testee: Testee, server: Scripted, serve: Serve) -> None:
    """By pings: a new watch brings the successor. A quiet watch beside it stays the same call all the time."""
    quiet = serve()
    with Line(server.port) as line:
        testee.call("open", source="s", **KEY, target=line.target)
        testee.call("open", source="quiet", **KEY, target=quiet.target)
        server.wait_for_watches()
        quiet.wait_for_watches()
        sleep(IDLE)
        line.freeze()
        frozen_at = monotonic()
        successor = server.publish()
        waiting = testee.start("updated", source="s", than=FIRST, timeout_ms=100_000)
        assert waiting.result(100.0)["sha256"] == successor.sha256
        assert monotonic() - frozen_at <= NOTICED_WITHIN
        assert server.count("GetToken") == 1
        sleep(max(0.0, frozen_at + 65.0 - monotonic()))
        assert quiet.count("WatchToken") == 1, "pings were too many for the server"
        assert quiet.watching == 1
