"""`mintonced check`, as a command, against stores that are of no use: what is wrong, what to do, the verdict last."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from support.commands import Ended, mintonced
from support.nodes import PASSWORD
from support.tls import Authority
from support.topologies import cluster, sentinel, single

SECRET = quote(PASSWORD, safe="")


@asynccontextmanager
async def issuer() -> AsyncGenerator[str]:
    """Takes connections."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def check(directory: Path, url: str, **more: str) -> Ended:
    secret = directory / "client-secret"
    secret.touch(mode=0o600)
    secret.write_text("a-client-secret")
    async with issuer() as domain:
        settings = {"OAUTH_DOMAIN": domain, "CLIENT_ID": "a", "CLIENT_SECRET_FILES": str(secret), "REDIS_URL": url}
        ended = await mintonced("check", directory=directory, settings=settings | more)
    assert "Traceback" not in ended.out + ended.err
    assert SECRET not in ended.out + ended.err
    return ended


def assert_one_fault(ended: Ended, what: str, remedy: str) -> None:
    """And nothing else is wrong."""
    lines = ended.out.splitlines()
    assert ended.code == 1
    assert lines[-1] == "Verdict: 1 fault. Fix it, and check again."
    assert [what in line for line in lines if line.startswith("  fault ")] == [True], ended.out
    assert [remedy in line for line in lines if "→" in line] == [True], ended.out


async def test_a_good_store_is_fine(tmp_path: Path) -> None:
    """Exit code 0, and the verdict stands last there, too."""
    async with single(tmp_path / "redis") as topology:
        ended = await check(tmp_path, topology.url)
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "Verdict: no faults."
    assert "does not persist data" in ended.out


async def test_an_audit_log_that_cannot_be_is_a_fault(tmp_path: Path) -> None:
    """`serve` would end with it."""
    async with single(tmp_path / "redis") as topology:
        ended = await check(tmp_path, topology.url, AUDIT_FILE=str(tmp_path / "absent" / "audit.jsonl"))
    assert_one_fault(ended, "the audit log cannot be written", "Create the directory of ")


@pytest.mark.slow
async def test_a_single_server_of_no_use(tmp_path: Path) -> None:
    """An ACL user without what is needed; a server that evicts; one behind the URL of another kind."""
    async with single(tmp_path / "redis") as topology:
        node = topology.servers[0]
        at = f"127.0.0.1:{node.port}"
        await node.command("ACL", "SETUSER", "weak", "on", ">p", "~mintonce:*", "&mintonce:wake", "+@all", "-evalsha")
        ended = await check(tmp_path, f"redis://weak:p@{at}")
        assert_one_fault(ended, "lacks rights: +evalsha", "ACL SETUSER weak +evalsha")
        ended = await check(tmp_path, f"redis+cluster://:{SECRET}@{at}")
        assert_one_fault(ended, "is not part of a Cluster", "Use redis:// for one server")
        ended = await check(tmp_path, f"redis+sentinel://:{SECRET}@{at}/main?sentinel_password={SECRET}")
        assert_one_fault(ended, "is not a Sentinel", "Use redis:// for one server")
        await node.command("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
        ended = await check(tmp_path, topology.url)
        assert_one_fault(ended, "evicts keys", "CONFIG SET maxmemory-policy noeviction")


@pytest.mark.slow
async def test_sentinels(tmp_path: Path) -> None:
    """A Sentinel behind redis://, a service that they do not know, and a replica behind redis://."""
    async with sentinel(tmp_path / "redis") as topology:
        watching, replica = topology.sentinels[0], await topology.replica_of((await topology.primaries())[0])
        ended = await check(tmp_path, f"redis://:{SECRET}@127.0.0.1:{watching.port}")
        assert_one_fault(ended, "is a Sentinel", "Set redis.url to redis+sentinel://")
        ended = await check(tmp_path, topology.url.replace("/mintonce/", "/other/"))
        assert_one_fault(ended, "do not know the service 'other'", "sentinel monitor")
        ended = await check(tmp_path, f"redis://:{SECRET}@127.0.0.1:{replica.port}")
        assert_one_fault(ended, "is a replica, which accepts no writes", "Set redis.url to the primary")


@pytest.mark.slow
async def test_a_cluster(tmp_path: Path) -> None:
    """Behind redis://; and with a dead shard, whose address is shown."""
    async with cluster(tmp_path / "redis") as topology:
        ended = await check(tmp_path, f"redis://:{SECRET}@127.0.0.1:{topology.servers[0].port}")
        assert_one_fault(ended, "belongs to a Cluster", "Set redis.url to redis+cluster://")
        primary = (await topology.primaries())[0]
        await (await topology.replica_of(primary)).kill()
        await primary.kill()
        ended = await check(tmp_path, topology.url)
        assert_one_fault(ended, f"nothing listens at the port of server 127.0.0.1:{primary.port} of", "Start it")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["check", "serve"])
async def test_tls_files_of_redis(tmp_path: Path, command: str) -> None:
    """Missing, unreadable as PEM, or not of one pair: faults of the settings, with the file and the option."""
    ours, other = Authority(tmp_path), tmp_path / "other"
    other.mkdir()
    certificate, _ = ours.client()
    certificate.chmod(0o600)  # without ssl_keyfile it would hold the key, too
    _, foreign_key = Authority(other).client()
    foreign_key.chmod(0o600)
    cases = {
        f"ssl_ca_certs={tmp_path}/no.pem": f"names '{tmp_path}/no.pem' as ssl_ca_certs, which cannot be read",
        f"ssl_ca_certs={foreign_key}": f"names '{foreign_key}' as ssl_ca_certs, which holds no certificates",
        f"ssl_certfile={certificate}&ssl_keyfile={foreign_key}": f"names '{foreign_key}' as ssl_keyfile, which is not",
        f"ssl_certfile={certificate}": f"names '{certificate}' as ssl_certfile, without ssl_keyfile",
    }
    settings = {"OAUTH_DOMAIN": "http://127.0.0.1:1", "CLIENT_ID": "a", "CLIENT_SECRET": "s"}
    for options, what in cases.items():
        url = f"rediss://:{SECRET}@127.0.0.1:1/0?{options}"
        ended = await mintonced(command, directory=tmp_path, settings=settings | {"REDIS_URL": url})
        said = ended.out + ended.err
        assert ended.code == 1
        assert "MINTONCE_REDIS_URL" in said
        assert what in said
        assert "Traceback" not in said
        assert SECRET not in said
        if command == "check":
            assert said.splitlines()[-1] == "Verdict: 1 fault. Fix it, and check again."
