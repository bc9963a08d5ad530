"""What `mintonced serve` tells the service manager, over a real socket."""

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.cli.notify import MIN_WATCHDOG, ServiceManager
from support.manager import Manager
from support.replicas import replica
from support.surroundings import issuer_with_log, smallest_settings
from support.waiting import wait_until


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@mintonce-test-{os.getpid()}-{tmp_path.name}"
    with closing(Manager(address)) as manager:
        yield manager


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[PracticeIssuer]:
    with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as running:
        yield running


async def test_a_server_says_when_it_is_ready_that_it_works_and_when_it_stops(
    tmp_path: Path, issuer: PracticeIssuer, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order, each from the process that was started."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    async with EmbeddedValkey(tmp_path / "valkey", persist=False) as valkey:
        async with replica(tmp_path, smallest_settings(issuer, valkey.url)) as server:
            await wait_until(lambda: manager.heard("READY=1"))
            ready = next(message for message in manager.read() if "READY=1" in message)
            pings = sum(message == ["WATCHDOG=1"] for message in manager.read())
            await wait_until(lambda: sum(message == ["WATCHDOG=1"] for message in manager.read()) >= pings + 3)
            target = server.target
        assert await server.stop(signal.SIGTERM) == 0

    assert ready == ["READY=1", f"STATUS=Serving at {target}"]
    assert manager.heard("STOPPING=1")
    order = [line for message in manager.read() for line in message if line in ("READY=1", "STOPPING=1")]
    assert order == ["READY=1", "STOPPING=1"]


async def test_a_stuck_loop_sends_no_ping(tmp_path: Path) -> None:
    """So a service manager restarts a server that answers nothing: no thread pings in its place."""
    with closing(Manager(str(tmp_path / "notify"))) as manager:
        told = ServiceManager({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "300000"}, os.getpid())
        tasks = [asyncio.create_task(start()) for start in told.endless(asyncio.Event()).values()]
        await wait_until(lambda: len(manager.read()) >= 3)
        comes = manager.comes_within(0.5)  # blocks the loop
        await wait_until(lambda: len(manager.read()) > 3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert not comes


async def test_a_server_without_a_service_manager_serves(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """As in a container, or in a shell; also where the variable names a socket that is not there."""
    for number, environ in enumerate(({}, {"NOTIFY_SOCKET": str(tmp_path / "absent"), "WATCHDOG_USEC": "200000"})):
        directory = tmp_path / str(number)
        directory.mkdir()
        async with EmbeddedValkey(directory / "valkey", persist=False) as valkey:
            with pytest.MonkeyPatch.context() as variables:
                for name, value in environ.items():
                    variables.setenv(name, value)
                async with replica(directory, smallest_settings(issuer, valkey.url)) as server:
                    pass
            assert server.process.returncode == 0
            assert server.events("unexpected_error") == []


async def test_a_state_that_was_not_taken_is_sent_again(tmp_path: Path) -> None:
    """The latest of each kind: a manager that was away for a moment learns how things are, not what they were."""
    path = tmp_path / "notify"
    told, stopping = (
        ServiceManager({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "300000"}, os.getpid()),
        asyncio.Event(),
    )
    told.ready("127.0.0.1:1")
    told.status("something\nelse")
    with closing(Manager(str(path))) as manager:
        tasks = [asyncio.create_task(start()) for start in told.endless(stopping).values()]
        await wait_until(manager.read)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert manager.messages[0] == ["READY=1", "STATUS=something else", "WATCHDOG=1"]


def test_a_full_queue_neither_blocks_nor_raises(tmp_path: Path) -> None:
    """The manager reads nothing: what is left over is one message, not a thousand."""
    with closing(Manager(str(tmp_path / "notify"))) as manager:
        told = ServiceManager({"NOTIFY_SOCKET": manager.address}, os.getpid())
        for number in range(2000):
            told.status(str(number))
        taken = len(manager.read())
        told.status("last")
        assert taken < 2000
        assert manager.read()[-1] == ["STATUS=last"]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "41"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "x"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "1"}, MIN_WATCHDOG),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "9" * 400}, None),
        ({"WATCHDOG_USEC": "٣٠"}, None),
        ({"WATCHDOG_USEC": ""}, None),
    ],
)
def test_pings_are_sent_as_the_manager_says(environ: Mapping[str, str], seconds: float | None) -> None:
    """Only if it wants pings, of this process, within a time that is one."""
    assert ServiceManager(environ, pid=42).watchdog == seconds


@pytest.mark.parametrize("address", ["", "/", "@", "relative", "vsock:2:1234", "/a\0b", "/" + "x" * 200, "@é\udc80"])
def test_an_address_that_is_no_unix_socket_is_no_fault(address: str) -> None:
    """Such as the one that a virtual machine gets: the service works without it."""
    told = ServiceManager({"NOTIFY_SOCKET": address}, os.getpid())
    told.ready("127.0.0.1:1")
    told.stopping()
