"""Sources and clients that are made before a fork: real processes, real forks."""

import os
import subprocess
import sys

import pytest

from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

BEGIN = """
import os, signal, sys, threading, time
import mintonce
from mintonce import TokenClient, TokenSource

signal.alarm(40)
target, key = sys.argv[1], sys.argv[2:4]

def outlive(source):
    "Read until the inherited token is over and another one is served."
    first = source.get()
    while source.get().expires_at == first.expires_at:
        time.sleep(0.02)

def child(do):
    "Fork, and do it there. Returns the child's id."
    pid = os.fork()
    if pid:
        return pid
    try:
        do()
    except BaseException as error:
        print("child:", type(error).__name__, error, getattr(error, "remedy", ""), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)

def end_well(*pids):
    assert all(os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) == 0 for each in pids)
"""


def run(server: ScriptedServer, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program after BEGIN. gRPC says nothing either."""
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith("GRPC_")} | environment
    return subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", BEGIN + program, server.target, CLIENT, AUDIENCE],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env=surroundings,
    )


def ends_well(done: subprocess.CompletedProcess[str]) -> bool:
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    return True


@pytest.fixture
def short(server: ScriptedServer) -> ScriptedServer:
    """Its tokens live a second."""
    server.lifetime, server.refresh_in = 1.0, 0.7
    return server


@pytest.mark.slow
@pytest.mark.parametrize("switch", [None, "true", "false"])
@pytest.mark.parametrize("via", ["target", "TokenClient(target)"])
def test_parent_and_children_go_on_beyond_the_inherited_token(
    short: ScriptedServer, via: str, switch: str | None
) -> None:
    """Each with a thread and a channel of its own; whatever gRPC has been told about forks."""
    program = f"""
with TokenSource(*key, via={via}) as source:
    pids = [child(lambda: outlive(source)) for _ in range(4)]
    outlive(source)
    end_well(*pids)
"""
    assert ends_well(run(short, program, **({"GRPC_ENABLE_FORK_SUPPORT": switch} if switch else {})))


@pytest.mark.slow
def test_a_child_that_never_uses_the_source_ends_by_itself(short: ScriptedServer) -> None:
    """And so does one that closes it, or leaves it to the exit of the interpreter."""
    program = """
source = TokenSource(*key, via=target)
end_well(child(lambda: None), child(source.close))
pid = os.fork()
if pid:
    end_well(pid)
    outlive(source)
    source.close()
"""
    assert ends_well(run(short, program))


@pytest.mark.slow
def test_a_grandchild_goes_on_too(short: ScriptedServer) -> None:
    """As after a double fork, the way of daemons."""
    program = """
source = TokenSource(*key, via=target)
def again():
    source.get()
    end_well(child(lambda: outlive(source)))
end_well(child(again))
source.close()
"""
    assert ends_well(run(short, program))


def test_a_client_made_before_a_fork_opens_a_channel_of_its_own(server: ScriptedServer) -> None:
    """In the child, and again in the parent."""
    program = """
with TokenClient(target) as client:
    client.get(*key)
    end_well(*[child(lambda: client.get(*key)) for _ in range(4)])
    client.get(*key)
"""
    assert ends_well(run(server, program))


@pytest.mark.slow
def test_a_fork_while_other_threads_read_report_and_wait_neither_stops_nor_fails_them(short: ScriptedServer) -> None:
    """No lock that is held at the fork is waited for in the child."""
    program = """
source, over, failures = TokenSource(*key, via=target), threading.Event(), []
def use():
    while not over.is_set():
        try:
            source.get()
            source.reject(source.get())
        except Exception as error:
            failures.append(error)
threads = [threading.Thread(target=use) for _ in range(4)]
for each in threads: each.start()
for _ in range(15):
    end_well(child(lambda: source.reject(source.get())))
over.set()
for each in threads: each.join()
source.close()
assert not failures, failures
"""
    short.lifetime, short.refresh_in = 3600.0, 3000.0
    assert ends_well(run(short, program))


def test_a_call_that_is_under_way_at_the_fork_goes_on_in_the_parent(server: ScriptedServer) -> None:
    """Its channel is left to it; the child opens another one."""
    gate = server.hold("ListTokens")
    program = """
client = TokenClient(target)
calling = threading.Thread(target=lambda: got.append(client.list_tokens()))
got = []
calling.start()
client.get(*key)
time.sleep(0.3)
pid = child(lambda: client.get(*key))
print("forked", flush=True)
end_well(pid)
calling.join()
assert got
client.close()
"""
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + program, server.target, CLIENT, AUDIENCE], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        server.wait_for(lambda calls: calls["ListTokens"])
        assert process.stdout.readline() == "forked\n"
        gate.set()
        assert process.wait(30) == 0


def test_a_given_channel_is_not_used_after_a_fork(server: ScriptedServer) -> None:
    """It is its maker's; the error says what to do."""
    program = """
import grpc
def use():
    try:
        client.get(*key)
    except mintonce.Unavailable as error:
        assert error.reason == "FORKED" and "after the fork" in error.remedy
    else:
        raise AssertionError
with grpc.insecure_channel(target) as channel:
    client = TokenClient(channel=channel)
    pid = child(use)
    client.get(*key)
    end_well(pid)
"""
    done = run(server, program)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_processes_of_multiprocessing_have_a_source(
    short: ScriptedServer, method: str, tmp_path: "os.PathLike[str]"
) -> None:
    """One that the module makes: inherited by fork, made again by the others."""
    program = f"""
import multiprocessing, sys, time
from mintonce import TokenSource

source = TokenSource({CLIENT!r}, {AUDIENCE!r}, via={short.target!r})

def outlive(number):
    first = source.get()
    while source.get().expires_at == first.expires_at:
        time.sleep(0.02)
    return number

if __name__ == "__main__":
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        assert pool.map(outlive, range(4)) == [0, 1, 2, 3]
        outlive(0)
        pool.close()
        pool.join()
    source.close()
"""
    path = os.path.join(tmp_path, "program.py")
    with open(path, "w") as file:
        file.write(program)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=50, check=False)
    assert ends_well(done)
