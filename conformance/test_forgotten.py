"""A NAT or firewall forgets a connection: what is sent on it is dropped, and nothing says so. New connections work.

No case of the table: not every machine can make the networks that this needs. `test_silence.py` has the watches, and a
proxy that goes silent. That is another fault: the kernel behind such a proxy still acknowledges what it gets.
"""

from collections.abc import Iterator
from time import sleep

import pytest

from conformance.harness.kit import BUSY, Serve
from conformance.harness.testee import Testee
from conformance.servers.line import Line
from conformance.servers.router import Router, why_not
from conformance.servers.scripted import KEY

TIMEOUT = 10.0
KEEPALIVE_TIMEOUT = 5.0
NOTICED_WITHIN = 25.0
"""Seconds. What docs/reference/client.md promises for a connection that was in use a moment ago, in every language."""
IDLE = 21.0
"""Seconds after which every client notices within KEEPALIVE_TIMEOUT."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture
def router() -> Iterator[Router]:
    with Router() as made:
        yield made


@pytest.fixture
def line(router: Router, serve: Serve) -> Iterator[Line]:
    with Line(serve().port, router.listen()) as made:
        yield made


@pytest.fixture
def testee(router: Router, command: tuple[str, ...]) -> Iterator[Testee]:
    """One in the client's network."""
    with Testee((*router.inside, *command)) as running:
        yield running


@pytest.mark.timeout(120)
def test_a_call_on_an_idle_connection_that_was_forgotten_is_answered_in_time(
    testee: Testee, line: Line, router: Router
) -> None:
    """On a new connection, and within the deadline that a call has by default."""
    testee.call("client_open", conn="c", target=line.target)
    testee.call("client_get", conn="c", **KEY)
    sleep(IDLE)  # what the case is about
    assert router.forget()
    call = testee.start("client_get", conn="c", **KEY)
    call.result()
    assert KEEPALIVE_TIMEOUT - 1 < call.took < min(TIMEOUT, KEEPALIVE_TIMEOUT + BUSY)
    assert line.opened == 2


@pytest.mark.timeout(120)
def test_a_call_on_a_connection_in_use_that_was_forgotten_is_repeated_before_its_deadline(
    testee: Testee, line: Line, router: Router
) -> None:
    """The call after it loses no time."""
    testee.call("client_open", conn="c", target=line.target)
    testee.call("client_get", conn="c", **KEY)
    assert router.forget()
    call = testee.start("client_get", conn="c", timeout_ms=60_000, **KEY)
    call.result(60.0)
    assert call.took < NOTICED_WITHIN + BUSY
    after = testee.start("client_get", conn="c", **KEY)
    after.result()
    assert after.took < BUSY
    assert line.opened == 2
