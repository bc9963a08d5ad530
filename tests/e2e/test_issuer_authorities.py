"""An issuer's certificate comes from another authority: `ca_file` follows, without a restart or a failed mint."""

from contextlib import AsyncExitStack
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from urllib.parse import urlsplit

from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from support.asking import Served, start
from support.certificates import Authority
from support.surroundings import CLIENT_ID, CLIENT_SECRET, posts
from support.tls import handing_on
from support.waiting import wait_until


def write(path: Path, data: bytes) -> Path:
    """As an operator should: a new file takes the name of the old one."""
    beside = path.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_bytes(data)
    return beside.replace(path)


def met_with(authority: Authority) -> SSLContext:
    """What new connections to the issuer find."""
    context, served = SSLContext(PROTOCOL_TLS_SERVER), authority.server()
    context.load_cert_chain(served.certificate, served.key)
    return context


async def changed(served: Served, event: str) -> dict[str, object]:
    """The replica says so."""
    await wait_until(lambda: served.server.events(event), timeout=10.0)
    return dict(served.server.events(event)[-1])


async def test_an_authority_follows_its_file(tmp_path: Path, issuer: PracticeIssuer, valkey: EmbeddedValkey) -> None:
    """From the first authority alone to the second alone; a broken file in between is refused, and changes nothing."""
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    ca = write(tmp_path / "issuer-ca.pem", first.ca.read_bytes())
    plain = urlsplit(issuer.token_url).port or 0
    async with AsyncExitStack() as stack:
        before = await stack.enter_async_context(AsyncExitStack())
        port = await before.enter_async_context(handing_on(lambda: plain, met_with(first)))
        settings = {
            "ISSUERS__DEFAULT__TOKEN_URL": f"https://127.0.0.1:{port}/oauth/token",
            "ISSUERS__DEFAULT__REQUEST": "json",
            "ISSUERS__DEFAULT__CA_FILE": str(ca),
            "CLIENT_ID": CLIENT_ID,
            "CLIENT_SECRET": CLIENT_SECRET,
            "REDIS_URL": valkey.url,
        }
        (served,) = await start(stack, tmp_path, settings, 1)
        await served.get("https://one.example.com/")
        write(ca, b"no certificates")
        told = await changed(served, "reload_failed")
        assert (told["what"], "PEM" in str(told["detail"])) == ("ca_file of default", True)
        await served.get("https://two.example.com/")
        write(ca, second.ca.read_bytes())
        await changed(served, "reloaded")
        await before.aclose()  # with its connections
        await stack.enter_async_context(handing_on(lambda: plain, met_with(second), port))
        await served.get("https://three.example.com/")
        assert served.server.events("mint_failed") == []
    assert [post["status"] for post in posts(tmp_path / "posts.jsonl")] == [200] * 3
