"""Ctrl-C comes through at once, wherever a program waits."""

import signal
import subprocess
import sys
from time import monotonic

import pytest

from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer

BEGIN = """
import asyncio, signal, sys
from mintonce import AsyncTokenSource, TokenSource
target, key = sys.argv[1], sys.argv[2:4]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
"""
WAITS = {
    "open": ("GetToken", 1, "TokenSource(*key, via=target, timeout=60.0)"),
    "get": ("GetToken", 2, "TokenSource(*key, via=target, timeout=60.0).get()"),
    "reject": (
        "RejectToken",
        1,
        "source = TokenSource(*key, via=target, timeout=60.0)\nsource.reject(source._follower.token)",
    ),
    "open in asyncio": ("GetToken", 1, "asyncio.run(AsyncTokenSource.open(*key, via=target, timeout=60.0))"),
    "get in asyncio": (
        "GetToken",
        2,
        """
async def main():
    async with AsyncTokenSource(*key, via=target, timeout=60.0) as source:
        await source.get()
asyncio.run(main())
""",
    ),
}


@pytest.mark.parametrize("wait", WAITS)
def test_a_program_that_waits_is_interrupted(server: ScriptedServer, wait: str) -> None:
    """It ends with KeyboardInterrupt and nothing else, long before the deadline."""
    method, number, program = WAITS[wait]
    if number == 2:  # the first call opens the source, with a token that is over at once
        server.lifetime = server.refresh_in = 0.0
    else:
        server.hold(method)
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + program, server.target, CLIENT, AUDIENCE], stderr=subprocess.PIPE, text=True
    ) as process:
        if number == 2:
            server.wait_for(lambda calls: calls["GetToken"] == 1)
            server.hold(method)
        server.wait_for(lambda calls: calls[method] >= number)
        started = monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert monotonic() - started < 15.0
    for gate in server._gates.values():
        gate.set()
    assert process.returncode == -signal.SIGINT
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert err.count("Traceback") <= 2  # asyncio's own is chained: the cancelled task, then the interrupt
