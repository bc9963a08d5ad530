"""Connections to the token endpoint, as clients and careless peers use them."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Final

import pytest
from structlog.testing import capture_logs

from mintonce_server.web.listener import WebListener
from support.door import LIMITS, OPTIONS, asked, form, replies
from support.guarded_door import Guarded, guarded_door
from support.waiting import wait_until

KEPT: Final = {"Connection": "keep-alive"}
JAVA: Final = {
    "Connection": "Upgrade, HTTP2-Settings",
    "Upgrade": "h2c",
    "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
}
"""As Java's HttpClient asks for HTTP/2 in clear."""


def usual(guarded: Guarded, headers: Mapping[str, str] | None = None) -> bytes:
    return form(asked(guarded.keys["billing"]), headers)


def in_two(sent: bytes, kept: int = 10) -> tuple[bytes, bytes]:
    """The head with the first bytes of the body, and the rest."""
    cut = sent.index(b"\r\n\r\n") + 4 + kept
    return sent[:cut], sent[cut:]


async def answer(reader: asyncio.StreamReader) -> bytes:
    """One, of a connection that goes on."""
    async with asyncio.timeout(5.0):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or b"0")
        return head + await reader.readexactly(length)


def has_request(listener: WebListener) -> bool:
    """Whether a head has come, with or without its body."""
    return any(connection._current_request is not None for connection in listener._open)


async def test_one_connection_serves_many_requests() -> None:
    """And ends after a while, so that callers spread over replicas: the last answer says so."""
    limits = replace(LIMITS, connection_age=30.0)
    async with guarded_door(limits=limits) as guarded:
        reader, writer = await guarded.opened.connect()
        said: list[str | None] = []
        for _ in range(3):
            writer.write(usual(guarded, KEPT))
            (reply,) = replies(await answer(reader))
            assert reply.status == 200
            said.append(reply.headers.get("connection"))
            guarded.bench.clock.advance(20.0)
        assert said == [None, None, "close"]
        assert await reader.read() == b""
        writer.close()


async def test_an_answer_is_the_same_whether_or_not_its_connection_stays_open() -> None:
    """Made in one piece if it stays, else by the library: nothing but the word to close differs."""
    async with guarded_door() as guarded:
        stays, ends = await guarded.opened.exchange(usual(guarded, KEPT) + usual(guarded))
    assert (stays.status, ends.status) == (200, 200)
    assert ends.headers["connection"] == "close"
    assert stays.headers.keys() == ends.headers.keys() - {"connection"}
    for name, text in stays.headers.items():
        assert name in ("date", "content-length") or ends.headers[name] == text, name
    assert parsedate_to_datetime(stays.headers["date"]).tzinfo is not None


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_peer_of_http_1_0_is_told_whether_its_connection_stays_open(keeps: bool) -> None:
    """It would not expect that."""
    async with guarded_door() as guarded:
        reader, writer = await guarded.opened.connect()
        sent = usual(guarded, {"Connection": "keep-alive" if keeps else "close"}).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        writer.write(sent)
        (reply,) = replies(await answer(reader))
        assert reply.status == 200
        assert reply.headers.get("connection") == ("keep-alive" if keeps else None)
        writer.close()


async def test_pipelined_requests_are_answered_in_order() -> None:
    """One at a time; the others wait."""
    async with guarded_door() as guarded:
        wrong = form(asked("mok_billing_wrong"), KEPT)
        replies_ = await guarded.opened.exchange(usual(guarded, KEPT) + wrong + usual(guarded, KEPT) + usual(guarded))
        assert [reply.status for reply in replies_] == [200, 401, 200, 200]


async def test_a_thousand_pipelined_requests_are_not_all_kept_in_memory() -> None:
    """What is not read yet stays with the peer."""
    async with guarded_door() as guarded:
        got = await guarded.opened.exchange(usual(guarded, KEPT) * 999, usual(guarded))
        assert [reply.status for reply in got] == [200] * 1000


@pytest.mark.parametrize("headers", [JAVA, {"Connection": "Upgrade", "Upgrade": "websocket"}])
async def test_another_protocol_is_not_spoken(headers: Mapping[str, str]) -> None:
    """The request is answered in HTTP/1.1, and so is the next one of the connection."""
    async with guarded_door() as guarded:
        reader, writer = await guarded.opened.connect()
        for _ in range(2):
            writer.write(usual(guarded, headers))
            (reply,) = replies(await answer(reader))
            assert reply.status == 200
            assert "upgrade" not in reply.headers
        writer.close()


async def test_a_peer_that_waits_for_100_continue_gets_it() -> None:
    """The body is sent after it. One that is too large is refused before."""
    async with guarded_door() as guarded:
        head, body = in_two(usual(guarded, {"Expect": "100-continue"}), 0)
        reader, writer = await guarded.opened.connect()
        writer.write(head)
        assert await answer(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert replies(await answer(reader))[0].status == 200
        writer.close()
        large = usual(guarded, {"Expect": "100-continue", "Content-Length": "20000"})
        assert [reply.status for reply in await guarded.opened.exchange(in_two(large, 0)[0])] == [413]


async def test_a_body_in_pieces_is_read() -> None:
    """Bytes may come one by one."""
    async with guarded_door() as guarded:
        sent = usual(guarded)
        (reply,) = await guarded.opened.exchange(*(sent[at : at + 1] for at in range(len(sent))))
        assert reply.status == 200


async def test_a_body_without_an_end_is_refused_when_it_is_too_large() -> None:
    """In chunks, it does not say how long it is. Nothing waits for its end."""
    async with guarded_door() as guarded:
        head, _ = in_two(usual(guarded, {"Transfer-Encoding": "chunked"}), 0)
        head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length"))
        reader, writer = await guarded.opened.connect()
        writer.write(head)
        await wait_until(lambda: has_request(guarded.opened.listener))
        for _ in range(5):
            writer.write(b"1000\r\n" + b"a" * 4096 + b"\r\n")
        (reply,) = replies(await answer(reader))
        assert (reply.status, reply.headers["connection"]) == (413, "close")
        writer.close()


async def test_a_slow_body_ends_with_408() -> None:
    """A connection is not held longer than a request may take."""
    async with guarded_door(replace(OPTIONS, body_seconds=0.3)) as guarded:
        (reply,) = await guarded.opened.exchange(in_two(usual(guarded))[0])
        assert (reply.status, reply.error, reply.headers["connection"]) == (408, "invalid_request", "close")


async def test_a_slow_head_is_closed() -> None:
    """Without an answer: there was no request."""
    async with guarded_door(limits=replace(LIMITS, idle_seconds=0.3)) as guarded:
        assert await guarded.opened.exchange(usual(guarded)[:40]) == []


@pytest.mark.parametrize("rest", [b"x\r\n", b"\n", b"-1\r\n\r\n"])
async def test_a_chunk_that_cannot_be_read_is_refused_at_once(rest: bytes) -> None:
    """Even if it comes later than the head. It is no fault of ours, so no log line of one."""
    async with guarded_door() as guarded:
        head, _ = in_two(usual(guarded, {"Transfer-Encoding": "chunked"}), 0)
        head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length"))
        reader, writer = await guarded.opened.connect()
        with capture_logs() as logs:
            writer.write(head + b"5\r\nabcde\r\n")
            await wait_until(lambda: has_request(guarded.opened.listener))
            writer.write(rest + b"canary")
            async with asyncio.timeout(2.0):
                got = replies(await reader.read())
        assert [(reply.status, reply.error) for reply in got] == [(400, "invalid_request")]
        assert logs == []
        writer.close()


async def test_a_peer_that_leaves_leaves_nothing_behind() -> None:
    """In its head, in its body, or while it waits for a token. It is no fault of ours, so no log line of one."""
    async with guarded_door() as guarded:
        guarded.bench.issuer.gate.clear()
        sent = usual(guarded)
        listener = guarded.opened.listener
        with capture_logs() as logs:
            for part in (b"", sent[:40], in_two(sent)[0], sent):
                _, writer = await guarded.opened.connect()
                writer.write(part)
                await writer.drain()
                if part == sent:
                    await guarded.bench.issuer.asked.wait()
                elif len(part) > 40:
                    await wait_until(lambda: has_request(listener))
                writer.transport.abort()
                await wait_until(lambda: not listener._open)
            guarded.bench.issuer.gate.set()
            assert (await guarded.opened.ask(guarded.keys["billing"])).status == 200
        assert [line for line in logs if line["log_level"] == "error"] == []
        assert not listener._open
        assert not listener._by_address


async def test_a_peer_that_ends_its_side_gets_a_whole_answer_or_none() -> None:
    """Nothing hangs, and the next one is served."""
    async with guarded_door() as guarded:
        for part in (usual(guarded, KEPT), in_two(usual(guarded))[0], b""):
            reader, writer = await guarded.opened.connect()
            writer.write(part)
            writer.write_eof()
            async with asyncio.timeout(5.0):
                assert {reply.status for reply in replies(await reader.read())} <= {200, 400}
            writer.close()
        await wait_until(lambda: not guarded.opened.listener._open)
        assert (await guarded.opened.ask(guarded.keys["billing"])).status == 200


async def test_at_the_end_requests_under_way_are_answered_and_told_to_go() -> None:
    """Idle connections are closed, new ones refused."""
    async with guarded_door() as guarded:
        guarded.bench.issuer.gate.clear()
        idle, idle_writer = await guarded.opened.connect()
        idle_writer.write(form(asked("mok_billing_wrong"), KEPT))
        await answer(idle)
        reader, writer = await guarded.opened.connect()
        writer.write(usual(guarded, KEPT))
        await guarded.bench.issuer.asked.wait()
        stopping = asyncio.create_task(guarded.opened.listener.stop(5.0))
        async with asyncio.timeout(5.0):
            assert await idle.read() == b""
        with pytest.raises(OSError, match="Connect call failed"):
            await guarded.opened.connect()
        guarded.bench.issuer.gate.set()
        async with asyncio.timeout(5.0):
            (reply,) = replies(await reader.read())
            await stopping
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        for each in (writer, idle_writer):
            each.close()


async def test_one_address_has_a_share_of_the_connections() -> None:
    """The one of them that has been idle longest goes; those of others stay."""
    async with guarded_door(limits=replace(LIMITS, connections=20, per_address=5)) as guarded:
        other = replace(guarded.opened, address="127.0.0.2")
        kept, kept_writer = await other.connect()
        await wait_until(lambda: len(guarded.opened.listener._open) == 1)
        many = [await guarded.opened.connect() for _ in range(30)]
        async with asyncio.timeout(5.0):
            for reader, _ in many[:25]:
                assert await reader.read() == b""
        kept_writer.write(usual(guarded, KEPT))
        assert replies(await answer(kept))[0].status == 200
        for _, writer in [*many, (kept, kept_writer)]:
            writer.close()


async def test_the_deadline_counts_from_the_head() -> None:
    """A body that takes its time leaves less for the token."""
    async with guarded_door(replace(OPTIONS, deadline=1.0)) as guarded:
        head, body = in_two(usual(guarded))
        reader, writer = await guarded.opened.connect()
        writer.write(head)
        await wait_until(lambda: has_request(guarded.opened.listener))
        guarded.bench.clock.advance(2.0)
        writer.write(body)
        (reply,) = replies(await answer(reader))
        assert (reply.status, reply.error) == (503, "temporarily_unavailable")
        writer.close()


@pytest.mark.parametrize("size", [64, 256, 1024])
async def test_a_body_of_tiny_chunks_is_refused_in_no_time(size: int) -> None:
    """It needs no proof of identity. What follows the first error is not read: each byte would be another one."""
    async with guarded_door() as guarded:
        head, _ = in_two(usual(guarded, {"Transfer-Encoding": "chunked"}), 0)
        head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length"))
        with suppress(ConnectionError):
            (reply,) = await guarded.opened.exchange(head + b"1\r\nx\r\n" * (size * 1024 // 6))
            assert reply.status in (400, 413)
        assert len(guarded.opened.listener._open) <= 1


async def test_connections_that_wait_for_a_body_keep_nobody_out() -> None:
    """They wait for their peers, so they go first when there are too many."""
    async with guarded_door(limits=replace(LIMITS, connections=20, per_address=20)) as guarded:
        slow = [await guarded.opened.connect() for _ in range(20)]
        for _, writer in slow:
            writer.write(in_two(usual(guarded))[0])
        await wait_until(lambda: sum(c._current_request is not None for c in guarded.opened.listener._open) == 20)
        other = replace(guarded.opened, address="127.0.0.2")
        assert (await other.ask(guarded.keys["billing"])).status == 200
        for _, writer in slow:
            writer.close()


async def test_a_body_that_comes_after_the_end_began_is_answered() -> None:
    """A rolling restart loses no request whose head was there."""
    async with guarded_door() as guarded:
        reader, writer = await guarded.opened.connect()
        head, body = in_two(usual(guarded, KEPT))
        writer.write(head)
        await wait_until(lambda: has_request(guarded.opened.listener))
        stopping = asyncio.create_task(guarded.opened.listener.stop(5.0))
        await asyncio.sleep(0)
        writer.write(body)
        async with asyncio.timeout(5.0):
            (reply,) = replies(await reader.read())
            await stopping
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        writer.close()
