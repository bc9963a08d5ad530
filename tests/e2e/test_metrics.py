"""A scripted run of a real replica, as Prometheus sees it."""

import asyncio
import urllib.request
from pathlib import Path
from typing import Any, Final, cast

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mintonce import AsyncTokenClient, MintonceError
from mintonce_server.observability.metrics import Metrics
from support.replicas import Replica, replica

AUDIENCE = "https://api.example.com/orders"
GET = "mintonce.v1.TokenService/GetToken"


class Scrape:
    """The metrics of a replica at one moment."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, name: str, **labels: str) -> float:
        """Of the samples with these labels, together."""
        samples = [sample for family in self.families.values() for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


async def scrape(server: Replica, accept: str = "") -> Scrape:
    url = str(server.events("serving")[0]["http"]) + "/metrics"
    request = urllib.request.Request(url, headers={"Accept": accept})

    def read() -> str:
        with urllib.request.urlopen(request, timeout=10.0) as answer:
            return str(answer.read().decode())

    return Scrape(await asyncio.to_thread(read))


EXPECTED: Final[tuple[tuple[str, dict[str, str], float], ...]] = (
    ("rpc_server_call_duration_seconds_count", {"rpc_method": GET, "rpc_status_code": "OK"}, 4),
    ("rpc_server_call_duration_seconds_count", {"rpc_method": GET, "rpc_status_code": "NOT_FOUND"}, 1),
    ("rpc_server_call_duration_seconds_count", {"rpc_method": GET, "rpc_status_code": "INVALID_ARGUMENT"}, 1),
    ("rpc_server_call_duration_seconds_count", {"rpc_method": "_OTHER"}, 1),
    ("mintonce_tokens_served_total", {"client": "default", "origin": "mint"}, 2),
    ("mintonce_tokens_served_total", {"client": "default", "origin": "memory"}, 2),
    ("mintonce_calls_failed_total", {"reason": "UNKNOWN_CLIENT", "client": ""}, 1),
    ("mintonce_calls_failed_total", {"reason": "INVALID_REQUEST", "client": ""}, 1),
    ("mintonce_calls_failed_total", {"reason": "ROTATION_TOO_SOON", "client": "default"}, 1),
    ("mintonce_mints_total", {"client": "default", "cause": "absent", "outcome": "minted"}, 1),
    ("mintonce_mints_total", {"client": "default", "cause": "rejected", "outcome": "minted"}, 1),
    ("mintonce_mints_total", {}, 2),
    ("http_client_request_duration_seconds_count", {"http_response_status_code": "200"}, 2),
    ("mintonce_commits_total", {"result": "ok"}, 2),
    ("mintonce_rejections_total", {"client": "default", "result": "current"}, 1),
    ("mintonce_rejections_total", {"client": "default", "result": "too_soon"}, 1),
    ("mintonce_store_up", {}, 1),
    ("mintonce_wake_subscriptions", {}, 1),
    ("mintonce_wake_round_trip_seconds_count", {}, 3),
    ("mintonce_rpcs_in_flight", {}, 0),
)
"""After `use`: name, labels and value."""


async def use(target: str) -> list[str]:
    """Calls that are answered, refused, unknown and unreadable. The tokens that came."""
    async with AsyncTokenClient(target, timeout=10.0) as client:
        got = [await client.get("default", AUDIENCE) for _ in range(3)]
        await client.reject("default", AUDIENCE, generation=got[0].generation)
        got.append(await client.get("default", AUDIENCE))
        with pytest.raises(MintonceError):
            await client.get("stranger", AUDIENCE)
        with pytest.raises(MintonceError):
            await client.reject("default", AUDIENCE, generation=got[-1].generation)
    async with grpc.aio.insecure_channel(target) as channel:
        for method, code in ((f"/{GET}", "INVALID_ARGUMENT"), ("/mintonce.v1.Nothing/Get", "UNIMPLEMENTED")):
            call = cast("Any", channel).unary_unary(method)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(b"\xff\xff\xff")
            assert refused.value.code().name == code
    return [token.access_token for token in got]


@pytest.mark.slow
async def test_a_replica_counts_what_it_does(tmp_path: Path, settings: dict[str, str]) -> None:
    """Every call, token, POST and operation of the store; every metric is there; and no secret anywhere."""
    async with replica(tmp_path, {**settings, "HTTP__LISTEN": "127.0.0.1:0"}) as server:
        tokens = await use(server.target)
        seen = await scrape(server)
        async with asyncio.timeout(20.0):
            while seen.value("mintonce_tokens_live", client="default") != 1:
                seen = await scrape(server)
        open_metrics = await scrape(server, "application/openmetrics-text; version=1.0.0")

    assert tuple((name, labels, seen.value(name, **labels)) for name, labels, _ in EXPECTED) == EXPECTED
    assert set(seen.families) >= {family.name for family in Metrics(["default"]).registry.collect()}
    assert open_metrics.text.endswith("# EOF\n")
    for secret in (*tokens, settings["CLIENT_SECRET"], AUDIENCE, "stranger"):
        assert secret not in seen.text


async def test_an_address_in_use_is_an_error_at_the_start(tmp_path: Path, settings: dict[str, str]) -> None:
    """And not a server without metrics."""
    taken = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    with pytest.raises(AssertionError, match="in use"):
        async with replica(tmp_path, {**settings, "HTTP__LISTEN": f"127.0.0.1:{port}"}):
            pass
    taken.close()
    await taken.wait_closed()
