"""`mintonced serve` with `[tracing]`: spans reach a real OTLP receiver, and nothing waits for one that is away."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from grpc import ssl_server_credentials

from mintonce import AsyncTokenClient
from support.commands import mintonced
from support.replicas import replica
from support.tls import Authority
from support.traces import otlp_receiver
from support.waiting import wait_until

AUDIENCE: Final = "https://api.example.com/"
HEADER: Final = "header-canary-0123456789"
THAT_WRITES_WHAT_IT_IMPORTED: Final = """
import atexit, json, sys
atexit.register(lambda: open("imported", "w").write(json.dumps(sorted(sys.modules))))
from mintonce_server.__main__ import main
sys.exit(main())
"""
OURS: Final = ("mintonce_server.observability.trace", "opentelemetry.sdk.trace", "opentelemetry.exporter")
"""Not all of OpenTelemetry: where it is installed, redis-py imports its metrics."""


async def mint(target: str, audience: str = AUDIENCE) -> float:
    """Seconds that a call takes that mints."""
    began = time.monotonic()
    async with AsyncTokenClient(target) as client:
        await client.get("default", audience)
    return time.monotonic() - began


def traced(settings: Mapping[str, str], endpoint: str, **more: str) -> dict[str, str]:
    return dict(settings) | {"TRACING__ENDPOINT": endpoint, "TRACING__SAMPLE_RATIO": "1", **more}


async def test_what_a_replica_did_is_at_the_receiver_when_it_has_ended(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    headers = tmp_path / "headers"
    headers.touch(mode=0o600)
    headers.write_text(f"Authorization: Bearer {HEADER}\nX-Tenant: a\n")
    async with otlp_receiver() as receiver:
        more = traced(settings, receiver.endpoint, TRACING__HEADERS_FILE=str(headers))
        async with replica(tmp_path, more) as running:
            await mint(running.target)
            log = running.log
    by_name = {span.name: span for span in receiver.spans}
    call, flight, post = by_name["mintonce.v1.TokenService/GetToken"], by_name["flight"], by_name["POST"]
    assert flight.parent_span_id == b""
    assert [link.span_id for link in flight.links] == [call.span_id]
    assert post.parent_span_id == flight.span_id
    assert by_name["EVALSHA commit"].parent_span_id == flight.span_id
    assert receiver.metadata[0]["authorization"] == f"Bearer {HEADER}"
    assert receiver.metadata[0]["x-tenant"] == "a"
    assert receiver.resources[0]["service.name"] == "mintonce"
    assert HEADER not in log.read_text()


async def test_lines_of_a_traced_mint_name_its_trace(tmp_path: Path, settings: dict[str, str]) -> None:
    async with otlp_receiver() as receiver:
        async with replica(tmp_path, traced(settings, receiver.endpoint)) as running:
            await mint(running.target)
        (line,) = running.events("minted")
    (flight,) = (span for span in receiver.spans if span.name == "flight")
    assert (line["trace_id"], line["span_id"]) == (flight.trace_id.hex(), flight.span_id.hex())


async def test_the_receiver_must_show_a_certificate_of_the_ca_file(tmp_path: Path, settings: dict[str, str]) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.server_files()
    credentials = ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    async with otlp_receiver(credentials) as receiver:
        more = traced(settings, receiver.endpoint, TRACING__CA_FILE=str(authority.ca))
        async with replica(tmp_path, more) as running:
            await mint(running.target)
    assert {span.name for span in receiver.spans} >= {"flight", "POST"}


@pytest.mark.slow
async def test_a_receiver_that_is_away_delays_no_call_and_is_named_in_the_log(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    more = traced(settings, "http://127.0.0.1:9")
    more_often = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
    async with replica(tmp_path, more, variables=more_often) as running:
        for number in range(5):
            assert await mint(running.target, f"https://{number}.example.com/") < 5.0
        await wait_until(lambda: running.events("tracing_trouble"), timeout=20.0)
        (trouble, *others) = running.events("tracing_trouble")
        began = time.monotonic()
        assert await running.stop() == 0
        assert time.monotonic() - began < 8.0
    assert trouble["remedy"].startswith("Check tracing.endpoint")
    assert len(others) <= 3


@pytest.mark.slow
async def test_a_receiver_that_never_answers_holds_up_the_end_by_two_seconds_at_most(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    async with otlp_receiver(hangs=True) as receiver:
        more = traced(settings, receiver.endpoint)
        async with replica(tmp_path, more, variables={"OTEL_BSP_SCHEDULE_DELAY": "50"}) as running:
            await mint(running.target)
            await wait_until(lambda: receiver.requests)
            assert await mint(running.target, "https://b.example.com/") < 5.0
            began = time.monotonic()
            assert await running.stop() == 0
            took = time.monotonic() - began
    assert running.events("spans_lost")
    assert took < 8.0


@pytest.mark.parametrize("is_on", [False, True])
async def test_nothing_of_traces_is_imported_unless_they_are_on(
    tmp_path: Path, settings: dict[str, str], is_on: bool
) -> None:
    async with otlp_receiver() as receiver:
        chosen = traced(settings, receiver.endpoint) if is_on else settings
        async with replica(tmp_path, chosen, ("-c", THAT_WRITES_WHAT_IT_IMPORTED)) as running:
            await mint(running.target)
            await running.stop()
    imported = json.loads((tmp_path / "imported").read_text())
    assert "mintonce_server.app.service" in imported
    assert any(name.startswith(OURS) for name in imported) is is_on


async def test_a_standard_variable_switches_traces_off(tmp_path: Path, settings: dict[str, str]) -> None:
    async with otlp_receiver() as receiver:
        more = traced(settings, receiver.endpoint)
        async with replica(tmp_path, more, variables={"OTEL_SDK_DISABLED": "true"}) as running:
            await mint(running.target)
        assert running.events("tracing_off")
    assert receiver.spans == []


async def test_without_the_extra_the_server_says_how_to_install_it(tmp_path: Path, settings: dict[str, str]) -> None:
    """A finder that knows no opentelemetry stands for an installation without it."""
    program = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'opentelemetry':\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "from mintonce_server.__main__ import main\n"
        "sys.exit(main())"
    )
    for command in ("serve", "check"):
        ended = await mintonced(
            command, directory=tmp_path, settings=traced(settings, "http://127.0.0.1:4317"), program=("-c", program)
        )
        assert ended.code == 1
        assert "pip install 'mintonce[server,tracing]'" in ended.out + ended.err
