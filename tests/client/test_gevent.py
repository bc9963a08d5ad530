"""gevent, the real one, in programs of their own: it patches the whole process."""

import subprocess
import sys

import pytest

from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer

BEGIN = """
from gevent import monkey
EARLY
import os, signal, sys
signal.alarm(40)
import gevent
import mintonce
from mintonce import AsyncTokenClient, TokenClient, TokenSource
target, key = sys.argv[1], sys.argv[2:4]

def ticking():
    "Other greenlets run meanwhile."
    while True:
        ticks.append(1)
        gevent.sleep(0.01)
ticks = []
"""
PATCH = "monkey.patch_all()"
INIT = "import grpc.experimental.gevent; grpc.experimental.gevent.init_gevent()"


def run(server: ScriptedServer, program: str, early: str = PATCH) -> None:
    """It ends well, and prints nothing."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN.replace("EARLY", early) + program, server.target, CLIENT, AUDIENCE],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def short(server: ScriptedServer) -> ScriptedServer:
    """Its tokens live a second."""
    server.lifetime, server.refresh_in = 1.0, 0.7
    return server


@pytest.mark.slow
@pytest.mark.parametrize("early", [PATCH, f"{PATCH}\n{INIT}"], ids=["we tell gRPC", "the program has told gRPC"])
def test_a_source_follows_its_token_while_other_greenlets_run(short: ScriptedServer, early: str) -> None:
    """Without a line of the program's, or with it."""
    program = """
spawned = gevent.spawn(ticking)
with TokenSource(*key, via=target) as source:
    first = source.get()
    while source.get().expires_at < first.expires_at + 2:
        gevent.sleep(0.02)
    refused = source.get()
    short = len(ticks)
    assert all(each.generation > refused.generation for each in
        [job.get() for job in [gevent.spawn(source.reject, refused) for _ in range(20)]])
assert len(ticks) > 50
"""
    run(short, program, early)


def test_a_client_that_waits_lets_other_greenlets_run(server: ScriptedServer) -> None:
    """A call of one greenlet is no stand-still of all."""
    server.hold("GetToken")
    program = """
gevent.spawn(ticking)
with TokenClient(target) as client:
    try:
        client.get(*key, timeout=1.0)
    except mintonce.Unavailable:
        pass
assert len(ticks) > 20
"""
    run(server, program)


@pytest.mark.slow
def test_a_source_made_before_a_fork_and_before_the_patch_goes_on_in_the_child(short: ScriptedServer) -> None:
    """As `gunicorn --preload --worker-class gevent` does it: its workers patch themselves."""
    program = """
source = TokenSource(*key, via=target)
source.get()
pid = os.fork()
if pid == 0:
    monkey.patch_all()
    spawned = gevent.spawn(ticking)
first = source.get()
while source.get().expires_at == first.expires_at:
    gevent.sleep(0.02)
if pid == 0:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
source.close()
"""
    run(short, program, early="")


def test_asyncio_is_refused_at_once(server: ScriptedServer) -> None:
    """gRPC's asyncio half would stand still; the error says what to use."""
    program = """
try:
    AsyncTokenClient(target)
except mintonce.MintonceError as error:
    assert error.reason == "GEVENT" and "TokenSource" in error.remedy
else:
    raise AssertionError
"""
    run(server, program)
