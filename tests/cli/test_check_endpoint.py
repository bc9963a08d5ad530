"""What `mintonced check` says of the token endpoint."""

import io
import socket
from pathlib import Path

import pytest

from mintonce_server.cli.check import Probes, run_check
from mintonce_server.cli.check_endpoint import probe_token_endpoint
from mintonce_server.config import IssuerSettings, Settings
from support.settings import COMPLETE


async def is_there(_: Settings | IssuerSettings) -> None:
    """A store or an issuer that answers."""


async def check(tmp_path: Path, listen: str, more: str = "") -> tuple[int, str]:
    config = tmp_path / "mintonce.toml"
    config.touch(mode=0o600)
    endpoint = f'[token_endpoint]\nlisten = "{listen}"\n' if listen else ""
    config.write_text(COMPLETE + more + endpoint)
    out = io.StringIO()
    probes = Probes(is_there, is_there, token_endpoint=probe_token_endpoint)
    return await run_check(config, {}, probes, out), out.getvalue()


def client(name: str, client_id: str, more: str = "") -> str:
    return f'[clients.{name}]\nissuer = "acme"\nclient_id = "{client_id}"\nclient_secret = "s"\n{more}\n'


async def test_a_free_address_is_tried_and_named(tmp_path: Path) -> None:
    """With the path that libraries need."""
    code, text = await check(tmp_path, "127.0.0.1:0")
    assert code == 0
    assert "  oauth   POST /oauth/token at 127.0.0.1:0, no revocation\n" in text
    assert "token endpoint: tried" in text


async def test_without_an_address_nothing_is_said_of_it(tmp_path: Path) -> None:
    """No advice about clients that no library uses."""
    code, text = await check(tmp_path, "", client("reports", "billing-id"))
    assert code == 0
    assert "endpoint" not in text
    assert "/oauth/token at" not in text


async def test_an_address_in_use_is_no_fault(tmp_path: Path) -> None:
    """`check` is run beside the server that it is for."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        code, text = await check(tmp_path, listen)
    assert code == 0
    assert f"note    token endpoint: {listen} is in use" in text


@pytest.mark.parametrize("listen", ["192.0.2.1:8443", "no-such-host.invalid:8443", "unix:/nowhere/at/all.sock"])
async def test_an_address_that_cannot_be_had_is_a_fault(tmp_path: Path, listen: str) -> None:
    """Of another machine, of none, and in a folder that is not there."""
    meant = "insecure_listen = true\ninsecure_store = true\n"
    config = tmp_path / "mintonce.toml"
    config.touch(mode=0o600)
    config.write_text(f'{meant}{COMPLETE}audiences = ["*"]\n[token_endpoint]\nlisten = "{listen}"\n')
    out = io.StringIO()
    code = await run_check(config, {}, Probes(is_there, is_there, token_endpoint=probe_token_endpoint), out)
    assert code == 1
    assert f"token endpoint: cannot listen on {listen}" in out.getvalue()
    assert out.getvalue().splitlines()[-1].startswith("Verdict: 1 fault.")


async def test_a_client_id_of_several_clients_is_said(tmp_path: Path) -> None:
    """The endpoint cannot know which of them is meant."""
    _, text = await check(tmp_path, "127.0.0.1:0", client("reports", "billing-id") + client("other", "other-id"))
    assert "token endpoint: billing, reports have one client_id" in text
    assert "send the name as client_id" in text
    assert "billing-id" not in text.partition("note ")[2]


async def test_a_client_id_that_is_anothers_name_is_said(tmp_path: Path) -> None:
    """A name goes before a client_id."""
    _, text = await check(tmp_path, "127.0.0.1:0", client("reports", "billing"))
    assert "the client_id of reports is the name of another client, billing" in text


async def test_clients_without_a_default_audience_are_named(tmp_path: Path) -> None:
    """Advice: the verdict stays good."""
    more = client("reports", "r", 'audiences = ["https://a/"]\ndefault_audience = "https://a/"')
    code, text = await check(tmp_path, "127.0.0.1:0", more)
    assert code == 0
    assert "without default_audience: billing." in text


async def test_no_advice_where_all_is_said(tmp_path: Path) -> None:
    """One client with an id and a default audience of its own."""
    code, text = await check(tmp_path, "127.0.0.1:0", 'default_audience = "https://a/"\n')
    assert code == 0
    assert "note" not in text
