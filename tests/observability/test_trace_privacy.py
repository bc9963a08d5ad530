"""What traces keep to themselves, and who decides what they record."""

import json
import random
from contextvars import copy_context
from pathlib import Path

import grpc
import pytest
from grpc import aio

from mintonce_server.core.policy import Policy
from support.faulty_issuer import Fault, FaultyIssuer
from support.gatehouse import gatehouse, rule
from support.leaks import LeakChecker
from support.surroundings import CLIENT_SECRET
from support.traced_calls import GET, Start, get, sampled
from support.traces import SAMPLED, TRACE, Recorder, attribute, span_id, trace_id
from support.waiting import wait_until
from support.web import Reply, Request, web

A_JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize("propagate", [False, True])
async def test_the_issuer_sees_a_traceparent_only_if_the_settings_say_so(start: Start, propagate: bool) -> None:
    recorder = Recorder()

    def answer(_: Request) -> Reply:
        token = {"access_token": "t" * 40, "token_type": "Bearer", "expires_in": 3600}
        return 200, {"content-type": "application/json"}, json.dumps(token).encode()

    async with web(answer) as running, start(recorder, f"{running.url}/token", propagate_trace=propagate) as replica:
        await get(replica.target, metadata=sampled())
        await wait_until(lambda: recorder.named(GET))
    post, (request,) = recorder.one("POST"), running.requests
    expected = f"00-{trace_id(post):032x}-{span_id(post):016x}-01" if propagate else None
    assert request.headers.get("traceparent") == expected


async def test_the_flag_of_an_unknown_caller_is_not_obeyed(tmp_path: Path, issuer: FaultyIssuer) -> None:
    """Otherwise anybody who reaches the port decides what is recorded."""
    recorder = Recorder()
    async with gatehouse(tmp_path, issuer, traces=recorder.traces) as gate:
        gate.policy = Policy([rule("r", "key:billing")])
        for _ in range(3):
            with pytest.raises(aio.AioRpcError):
                await get(gate.replica.target, metadata=sampled())
        assert recorder.spans == ()
        known = (*sampled(), ("authorization", f"Bearer {gate.keys['billing']}"))
        await get(gate.replica.target, metadata=known)
        await wait_until(lambda: recorder.named(GET))
        assert f"{trace_id(recorder.one(GET)):032x}" == TRACE


async def test_a_denied_call_is_no_error_of_the_server(tmp_path: Path, issuer: FaultyIssuer) -> None:
    recorder = Recorder()
    async with gatehouse(tmp_path, issuer, traces=recorder.traces) as gate:
        known = (*sampled(), ("authorization", f"Bearer {gate.keys['billing']}"))
        with pytest.raises(aio.AioRpcError) as caught:
            await get(gate.replica.target, metadata=known)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        await wait_until(lambda: recorder.named(GET))
    call = recorder.one(GET)
    assert call.status.status_code.name == "UNSET"
    assert attribute(call, "mintonce.reason") == "PERMISSION_DENIED"


async def test_no_span_shows_a_token_a_secret_or_an_audience(start: Start, issuer: FaultyIssuer) -> None:
    recorder, leaks = Recorder(), LeakChecker()
    leaks.know("the secret", CLIENT_SECRET)
    async with start(recorder) as replica:
        leaks.know_token((await get(replica.target, "https://audience-canary.example.com/")).token.access_token)
        leaks.know("the audience", "audience-canary")
        issuer.fault = Fault(status=400, body=json.dumps({"error": f"said {CLIENT_SECRET}"}), times=1)
        secret_id = (*sampled(), ("x-request-id", A_JWT))
        leaks.know("a token as a request id", A_JWT)
        with pytest.raises(aio.AioRpcError):
            await get(replica.target, "https://b.audience-canary.example.com/", secret_id)
        await wait_until(lambda: len(recorder.named(GET)) == 2)
    assert len(recorder.spans) > 8
    assert [found for text in recorder.texts() for found in leaks.find("a span", text)] == []


def test_no_tracestate_fails_a_call() -> None:
    chosen, recorder = random.Random(3), Recorder()
    for _ in range(2000):
        state = "".join(chr(chosen.randrange(32, 127)) for _ in range(chosen.randrange(600)))
        metadata = [("traceparent", SAMPLED), ("tracestate", state)]
        call = copy_context().run(recorder.traces.call, GET, "ipv4:127.0.0.1:1", metadata, 0.0, watches=False)
        call.end("OK", "", "")
    assert len(recorder.spans) == 2000
