"""What a trace shows: the call, the flight that serves it, and what the flight did. With a real store and issuer."""

import asyncio
import random
from contextlib import AsyncExitStack
from contextvars import copy_context

import pytest
from grpc import aio

from mintonce import AsyncTokenClient, MintonceError
from support.faulty_issuer import Fault, FaultyIssuer
from support.house import AUDIENCE, CLIENT
from support.traced_calls import GET, WATCH, Start, get, sampled
from support.traces import SAMPLED, SPAN, TRACE, UNSAMPLED, Recorder, attribute, linked, span_id, trace_id
from support.waiting import wait_until
from support.web import web

FLIGHT = ["EVALSHA acquire", "EVALSHA enter", "POST", "EVALSHA learn", "EVALSHA commit"]


async def test_a_call_that_mints_gives_a_call_and_a_flight_that_are_linked(start: Start) -> None:
    recorder = Recorder()
    async with start(recorder) as replica:
        await get(replica.target, metadata=sampled())
        await wait_until(lambda: recorder.named(GET))
    call, flight, post = recorder.one(GET), recorder.one("flight"), recorder.one("POST")
    assert f"{trace_id(call):032x}" == TRACE
    assert call.parent is not None
    assert f"{call.parent.span_id:016x}" == SPAN
    assert call.kind.name == "SERVER"
    assert attribute(call, "rpc.status_code") == "OK"
    assert attribute(call, "mintonce.client") == CLIENT
    assert attribute(call, "mintonce.origin") == "mint"
    assert attribute(call, "mintonce.degraded") is False
    assert flight.parent is None
    assert trace_id(flight) != trace_id(call)
    assert linked(flight) == {span_id(call)}
    assert linked(call) == {span_id(flight)}
    assert attribute(flight, "mintonce.cause") == "absent"
    assert attribute(flight, "mintonce.generation") == attribute(call, "mintonce.generation")
    assert recorder.children(flight) == FLIGHT
    assert attribute(post, "http.response.status_code") == 200
    assert attribute(post, "mintonce.issuer") == "acme"
    assert post.kind.name == "CLIENT"
    commit = recorder.one("EVALSHA commit")
    assert attribute(commit, "db.system.name") == "redis"
    assert attribute(commit, "db.stored_procedure.name") == "commit"
    assert attribute(commit, "server.port") == 6379


async def test_a_flight_is_linked_to_each_call_that_waits_for_it(start: Start, issuer: FaultyIssuer) -> None:
    recorder = Recorder()
    issuer.fault = Fault(latency=0.3, times=1)
    async with start(recorder) as replica:
        await asyncio.gather(*(get(replica.target, metadata=sampled()) for _ in range(5)))
        await wait_until(lambda: len(recorder.named(GET)) == 5)
    assert linked(recorder.one("flight")) == {span_id(call) for call in recorder.named(GET)}
    assert len(recorder.named("POST")) == 1


async def test_a_flight_has_at_most_32_links(start: Start, issuer: FaultyIssuer) -> None:
    recorder = Recorder()
    issuer.fault = Fault(latency=0.5, times=1)
    async with start(recorder) as replica, AsyncTokenClient(replica.target) as client:
        await asyncio.gather(*(client.get(CLIENT, AUDIENCE) for _ in range(40)))
        await wait_until(lambda: len(recorder.named(GET)) == 40)
    assert len(recorder.one("flight").links) == 32


async def test_an_answer_from_memory_is_recorded_only_for_a_caller_that_records(start: Start) -> None:
    recorder = Recorder()
    async with start(recorder) as replica:
        await get(replica.target)
        await wait_until(lambda: recorder.named(GET))
        before = len(recorder.spans)
        await get(replica.target)
        await get(replica.target, metadata=sampled(UNSAMPLED))
        await get(replica.target, metadata=sampled())
        await wait_until(lambda: len(recorder.spans) > before)
    (answered,) = recorder.spans[before:]
    assert f"{trace_id(answered):032x}" == TRACE
    assert attribute(answered, "mintonce.origin") == "memory"


async def test_a_caller_that_does_not_record_has_no_span_of_its_call(start: Start) -> None:
    recorder = Recorder(ratio=0.0)
    async with start(recorder) as replica:
        await get(replica.target, metadata=sampled(UNSAMPLED))
        await get(replica.target, "https://b.example.com/")
    assert recorder.spans == ()


async def test_a_caller_that_records_has_its_flight_recorded_whatever_the_share(start: Start) -> None:
    recorder = Recorder(ratio=0.0)
    async with start(recorder) as replica:
        await get(replica.target, metadata=sampled())
        await wait_until(lambda: recorder.named(GET))
    assert recorder.children(recorder.one("flight")) == FLIGHT


@pytest.mark.parametrize(
    "garbled", ["", SAMPLED.upper(), SAMPLED + "-1", f"00-{'0' * 32}-{SPAN}-01", "01" + SAMPLED[2:]]
)
async def test_a_garbled_traceparent_is_ignored(start: Start, garbled: str) -> None:
    recorder = Recorder()
    async with start(recorder) as replica:
        await get(replica.target, metadata=sampled(garbled))
        await wait_until(lambda: recorder.named(GET))
    call = recorder.one(GET)
    assert call.parent is None
    assert f"{trace_id(call):032x}" != TRACE


async def test_the_refusal_of_an_issuer_is_an_error_of_request_flight_and_call(
    start: Start, issuer: FaultyIssuer
) -> None:
    recorder = Recorder()
    issuer.fault = Fault(status=401, body='{"error": "invalid_client"}')
    async with start(recorder) as replica:
        with pytest.raises(aio.AioRpcError):
            await get(replica.target, metadata=sampled())
        await wait_until(lambda: recorder.named(GET))
    post, flight, call = recorder.one("POST"), recorder.one("flight"), recorder.one(GET)
    assert [span.status.status_code.name for span in (post, flight, call)] == ["ERROR"] * 3
    assert attribute(post, "error.type") == "401"
    assert attribute(flight, "error.type") == "ISSUER_REFUSED"
    assert attribute(call, "error.type") == "FAILED_PRECONDITION"
    assert attribute(call, "mintonce.reason") == "ISSUER_REFUSED"
    assert attribute(call, "mintonce.client") == CLIENT


async def test_an_issuer_that_hangs_up_is_a_connection_error_of_its_request(start: Start) -> None:
    recorder = Recorder()
    async with web(lambda _: (500, {}, b"")) as running:
        running.hang_up = set(range(10))
        async with start(recorder, f"{running.url}/oauth/token?key=1") as replica:
            with pytest.raises(aio.AioRpcError):
                await get(replica.target, metadata=sampled())
            await wait_until(lambda: recorder.named(GET))
    post = recorder.named("POST")[0]
    assert attribute(post, "error.type") == "connection"
    assert attribute(post, "url.full") == f"{running.url}/oauth/token"


def test_a_store_operation_that_fails_is_an_error_and_without_a_flight_there_is_no_span() -> None:
    recorder = Recorder()
    recorder.traces.operation("generations", 0.1, "")
    assert recorder.spans == ()
    with recorder.traces.flight("hash", CLIENT, "absent"):
        recorder.traces.operation("acquire", 0.25, "timeout")
    failed = recorder.one("EVALSHA acquire")
    assert attribute(failed, "error.type") == "timeout"
    assert failed.status.status_code.name == "ERROR"
    assert failed.start_time is not None
    assert failed.end_time is not None
    assert abs(failed.end_time - failed.start_time - 250_000_000) < 1_000_000


async def test_a_replica_that_waits_for_another_one_shows_how_long(start: Start, issuer: FaultyIssuer) -> None:
    first, second = Recorder(), Recorder()
    issuer.fault = Fault(latency=0.5, times=1)
    async with start(first) as one, start(second) as other:
        minting = asyncio.create_task(get(one.target))
        await wait_until(lambda: one.broker.tally().flights)
        await wait_until(lambda: first.named("EVALSHA enter"))
        await get(other.target)
        await minting
        await wait_until(lambda: second.named("flight"))
    wait = second.one("lease.wait")
    assert attribute(wait, "mintonce.lease_wait.result") == "served"
    assert wait.parent is not None
    assert wait.parent.span_id == span_id(second.one("flight"))


async def test_the_span_of_a_watch_ends_with_its_first_token(start: Start) -> None:
    recorder = Recorder()
    async with start(recorder) as replica, AsyncTokenClient(replica.target) as client:
        async for _ in client.watch(CLIENT, AUDIENCE):
            await wait_until(lambda: recorder.named(WATCH))
            break
    watch = recorder.one(WATCH)
    assert attribute(watch, "rpc.status_code") == "OK"
    assert linked(recorder.one("flight")) == {span_id(watch)}


def test_what_a_watch_does_after_its_first_token_belongs_to_no_span() -> None:
    recorder = Recorder()

    def watch() -> tuple[str, str] | None:
        call = recorder.traces.call(WATCH, "unix:", sampled(), 0.0, watches=True)
        call.served(CLIENT, "memory", degraded=False, generation=1)
        call.served(CLIENT, "memory", degraded=False, generation=2)
        call.end("UNAVAILABLE", "DRAINING", "")
        return recorder.traces.ids()

    assert copy_context().run(watch) is None
    assert attribute(recorder.one(WATCH), "mintonce.generation") == 1


async def test_a_watch_that_fails_before_its_first_token_is_an_error(start: Start, issuer: FaultyIssuer) -> None:
    recorder = Recorder()
    issuer.fault = Fault(status=401, body='{"error": "invalid_client"}')
    async with start(recorder) as replica, AsyncTokenClient(replica.target) as client:
        with pytest.raises(MintonceError):
            await anext(aiter(client.watch(CLIENT, AUDIENCE)))
        await wait_until(lambda: recorder.named(WATCH))
    assert attribute(recorder.one(WATCH), "mintonce.reason") == "ISSUER_REFUSED"


async def test_a_refresh_begins_a_trace_that_its_flight_is_linked_to(start: Start) -> None:
    recorder = Recorder()
    async with start(recorder) as replica:
        await get(replica.target)
        await get(replica.target)  # a token that is asked for again is refreshed
        broker = replica.broker
        (entry,) = list(broker._cache)
        assert entry.token is not None
        object.__setattr__(entry.token, "refresh_at", broker._clock.monotonic())
        await broker._refresher.refresh(entry.key)
    refresh = recorder.one("refresh")
    assert refresh.parent is None
    lag = attribute(refresh, "mintonce.refresh_lag_seconds")
    assert isinstance(lag, float)
    assert 0.0 <= lag < 5.0
    flight = next(flight for flight in recorder.named("flight") if attribute(flight, "mintonce.cause") == "refresh")
    assert linked(flight) == {span_id(refresh)}


@pytest.mark.slow
async def test_in_200_random_flows_each_span_has_its_parent_or_is_a_root(start: Start, issuer: FaultyIssuer) -> None:
    """Two replicas, issuers that fail, callers that hang up, watches and rejections."""
    chosen, recorder = random.Random(20261129), Recorder(ratio=0.5)
    faults = [Fault(), Fault(), Fault(latency=0.05), Fault(status=401, body="{}"), Fault(status=503)]

    async def flow(client: AsyncTokenClient, number: int) -> None:
        audience = f"https://{chosen.randrange(40)}.example.com/"
        issuer.fault = chosen.choice(faults)
        deadline = chosen.choice((0.02, 5.0, 5.0))
        try:
            match chosen.choice(("get", "get", "get", "watch", "reject")):
                case "get":
                    await client.get(CLIENT, audience, timeout=deadline)
                case "watch":
                    async for _ in client.watch(CLIENT, audience):
                        break
                case _:
                    await client.reject(CLIENT, audience, generation=number)
        except (MintonceError, aio.AioRpcError):
            pass

    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(start(recorder)) for _ in range(2)]
        clients = [await stack.enter_async_context(AsyncTokenClient(replica.target)) for replica in replicas]
        for begin in range(0, 200, 10):
            await asyncio.gather(*(flow(clients[n % 2], n) for n in range(begin, begin + 10)))
    known = {(trace_id(span), span_id(span)) for span in recorder.spans}
    parents = [(span.name, (trace_id(span), span.parent.span_id)) for span in recorder.spans if span.parent]
    orphans = [name for name, parent in parents if parent not in known]
    assert orphans == []
    assert len(recorder.named("flight")) > 10
    roots = {span.name for span in recorder.spans if span.parent is None}
    assert roots <= {"flight", "refresh", GET, WATCH, "mintonce.v1.TokenService/RejectToken"}
