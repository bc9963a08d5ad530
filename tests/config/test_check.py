"""`mintonced check` says what is wrong, or what the settings mean and who can be reached."""

import asyncio
import io
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mintonce_server.cli.check import Probes, probe_issuer, run_check
from mintonce_server.common.causes import Cause
from mintonce_server.config import IssuerSettings, Settings
from mintonce_server.core.errors import IssuerUnavailable, StoreUnavailable
from mintonce_server.store.survey import StoreReport
from support.settings import COMPLETE

WriteConfig = Callable[[str], Path]


async def is_there(_: Settings | IssuerSettings) -> None:
    """A store or an issuer that answers."""


async def is_down(_: Settings | IssuerSettings) -> None:
    raise StoreUnavailable("the store is down", remedy="Start it.")


@asynccontextmanager
async def listener() -> AsyncGenerator[str]:
    """A server that accepts connections and sends nothing; gives HOST:PORT."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def check(config: Path | None, environ: dict[str, str], probes: Probes) -> tuple[int, str]:
    out = io.StringIO()
    return await run_check(config, environ, probes, out), out.getvalue()


async def test_fine_settings_are_described_and_tried(write_config: WriteConfig) -> None:
    """Exit code 0; listen address, store, issuers and clients are named, secrets are not."""
    config = write_config(COMPLETE.replace("redis://", "redis://user:store-canary@"))

    code, text = await check(config, {}, Probes(is_there, is_there))

    assert code == 0
    for part in ("127.0.0.1:50051", "redis://127.0.0.1:6379/0", "https://login.example.com/oauth/token", "billing"):
        assert part in text
    assert text.count("reached") == 2
    assert "canary" not in text
    assert "billing-secret" not in text


async def test_every_fault_is_reported_with_its_remedy() -> None:
    """Exit code 1, and nothing is tried."""
    code, text = await check(None, {"MINTONCE_LISTEN": "nowhere"}, Probes(is_down, is_down))

    assert code == 1
    assert text.startswith("3 faults in the settings:\n")
    assert text.count("→") == 3
    assert "the store is down" not in text


async def test_one_probe_that_fails_hides_no_other(write_config: WriteConfig) -> None:
    """Exit code 1; each probe has its line, and its remedy."""
    code, text = await check(write_config(COMPLETE), {}, Probes(is_down, is_there))

    assert code == 1
    assert "store: the store is down" in text
    assert "→ Start it." in text
    assert "issuer acme: reached" in text


async def test_the_verdict_stands_last(write_config: WriteConfig) -> None:
    """Whatever came before: faults of the settings, of a probe, or none; with notes that are no faults."""

    async def tells(_: Settings) -> StoreReport:
        return StoreReport([], ["a note"])

    async def is_useless(_: Settings) -> StoreReport:
        return StoreReport([Cause("it evicts", "Forbid it."), Cause("it forgets", "Remind it.")], ["a note"])

    fine = await check(write_config(COMPLETE), {}, Probes(tells, is_there))
    useless = await check(write_config(COMPLETE), {}, Probes(is_useless, is_there))
    faulty = await check(None, {"MINTONCE_LISTEN": "nowhere"}, Probes(is_there, is_there))

    assert [code for code, _ in (fine, useless, faulty)] == [0, 1, 1]
    assert [text.splitlines()[-1] for _, text in (fine, useless, faulty)] == [
        "Verdict: no faults.",
        "Verdict: 2 faults. Fix them, and check again.",
        "Verdict: 3 faults. Fix them, and check again.",
    ]
    assert "a note" in fine[1]
    for part in ("it evicts", "→ Forbid it.", "it forgets", "→ Remind it.", "a note"):
        assert part in useless[1]


async def test_a_probe_that_hangs_is_given_up(write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall that drops packets does not hold up the report."""
    monkeypatch.setattr("mintonce_server.cli.check.STORE_SECONDS", 0.01)

    async def hangs(_: Settings) -> None:
        await asyncio.Event().wait()

    code, text = await check(write_config(COMPLETE), {}, Probes(hangs, is_there))

    assert code == 1
    assert "store: no answer within 0.01 s" in text


async def test_an_issuer_that_takes_connections_is_reached() -> None:
    """No request is sent: a mint costs."""
    async with listener() as address:
        await probe_issuer(IssuerSettings(token_url=f"http://{address}/oauth/token"))


async def test_an_issuer_that_speaks_no_tls_is_not_reached() -> None:
    """https:// means that TLS must come about."""
    async with listener() as address:
        with pytest.raises(IssuerUnavailable, match="hung up"):
            await probe_issuer(IssuerSettings(token_url=f"https://{address}/oauth/token"))


@pytest.mark.parametrize("host", ["refusing", "a..b", "x" * 70])
async def test_an_issuer_that_is_not_there_is_not_reached(host: str) -> None:
    """A closed port, and names that no resolver takes."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, so that the port stays taken; not listening, so that it refuses
        address = f"127.0.0.1:{closed.getsockname()[1]}" if host == "refusing" else host
        with pytest.raises(IssuerUnavailable, match=r"nothing listens|not found|no connection"):
            await probe_issuer(IssuerSettings(token_url=f"http://{address}/"))


async def test_a_ca_file_without_certificates_is_reported(tmp_path: Path) -> None:
    """The remedy names ca_file."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("no certificate")

    with pytest.raises(IssuerUnavailable) as caught:
        await probe_issuer(IssuerSettings(token_url="https://127.0.0.1:1/", ca_file=ca_file))

    assert str(ca_file) in str(caught.value)
    assert "ca_file" in caught.value.remedy
