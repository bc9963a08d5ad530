"""One hot key at the token endpoint (POST /oauth/token) and by gRPC: the same two servers, in turn, in one run."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final
from urllib.parse import urlencode, urlsplit

from bench.calls import CALL_DEADLINE, SCOPES, all_of, calling, fresh_audience, in_turn, request
from bench.figures import Ratio, duration, table
from bench.programs import CLIENT, Program, surroundings

UNDER_WAY: Final = 16
"""Connections to the endpoint, kept alive; and calls of gRPC at a time."""
AIM_CLEAR: Final = 0.5
AIM_GUARDED: Final = 0.6


@dataclass(frozen=True)
class DoorEffort:
    """How many rounds, and requests per round and subject."""

    rounds: int
    calls: int


@dataclass
class Figures:
    """`cpu`: seconds of the server process per request, one value per round."""

    cpu: list[float] = field(default_factory=list[float])
    rate: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class DoorMeasured:
    """In clear: nobody is asked who calls. Guarded: TLS, policy, audit log, sealed tokens."""

    grpc_clear: Figures = field(default_factory=Figures)
    form_clear: Figures = field(default_factory=Figures)
    json_clear: Figures = field(default_factory=Figures)
    grpc_guarded: Figures = field(default_factory=Figures)
    form_guarded: Figures = field(default_factory=Figures)
    bearer_guarded: Figures = field(default_factory=Figures)


@dataclass(frozen=True)
class _Subject:
    program: Program
    caller: Callable[[bytes], Awaitable[bytes]]
    message: bytes
    figures: Figures


class _Connections:
    """Kept alive, each with one request at a time."""

    def __init__(self) -> None:
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def open(self, url: str, trusting: ssl.SSLContext | None) -> None:
        where = urlsplit(url)
        for _ in range(UNDER_WAY):
            self._free.put_nowait(await asyncio.open_connection(where.hostname, where.port, ssl=trusting))

    def close(self) -> None:
        while not self._free.empty():
            self._free.get_nowait()[1].close()

    async def __call__(self, message: bytes) -> bytes:
        """The body. Raises RuntimeError for anything but a token."""
        reader, writer = await self._free.get()
        writer.write(message)
        async with asyncio.timeout(CALL_DEADLINE):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
        self._free.put_nowait((reader, writer))
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"no token: {body.decode()}")
        return body


async def measure_door(effort: DoorEffort) -> DoorMeasured:
    """About two minutes with FULL."""
    measured = DoorMeasured()
    endpoint = {"TOKEN_ENDPOINT__LISTEN": "127.0.0.1:0"}
    async with surroundings() as here, AsyncExitStack() as running:
        issuer = await here.issuer()
        known, key = here.guard.api_key()
        guarded = await here.server(issuer, {**endpoint, **known}, guarded=True)
        clear = await here.server(issuer, endpoint)
        audience = fresh_audience()
        wanted = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "audience": audience,
            "scope": " ".join(SCOPES),
        }
        # Every program is started before the first channel is opened: gRPC and fork do not go together.
        call_clear = await running.enter_async_context(calling(clear))
        call_guarded = await running.enter_async_context(calling(guarded))
        door_clear = await running.enter_async_context(_connected(clear, None))
        door_guarded = await running.enter_async_context(_connected(guarded, here.guard.trusting()))
        with_key = _form({**wanted, "client_secret": key})
        subjects = [
            _Subject(clear, call_clear, request(audience), measured.grpc_clear),
            _Subject(clear, door_clear, _form(wanted), measured.form_clear),
            _Subject(clear, door_clear, _message("application/json", json.dumps(wanted)), measured.json_clear),
            _Subject(guarded, call_guarded, request(audience), measured.grpc_guarded),
            _Subject(guarded, door_guarded, with_key, measured.form_guarded),
            _Subject(guarded, door_guarded, _form(wanted, f"Bearer {key}"), measured.bearer_guarded),
        ]
        for number in range(effort.rounds + 1):
            for subject in in_turn(subjects, number):
                # The first round warms up and does not count.
                await _round(subject, effort.calls, subject.figures if number else Figures())
    return measured


async def _round(subject: _Subject, calls: int, figures: Figures) -> None:
    before = subject.program.cpu()
    seconds = await all_of(subject.caller, [subject.message] * calls, UNDER_WAY)
    figures.cpu.append((subject.program.cpu() - before) / calls)
    figures.rate.append(calls / seconds)


@asynccontextmanager
async def _connected(program: Program, trusting: ssl.SSLContext | None) -> AsyncGenerator[_Connections]:
    connections = _Connections()
    try:
        await connections.open(program.door, trusting)
        yield connections
    finally:
        connections.close()


def _form(wanted: dict[str, str], authorization: str = "") -> bytes:
    return _message("application/x-www-form-urlencoded", urlencode(wanted), authorization)


def _message(kind: str, body: str, authorization: str = "") -> bytes:
    """With the headers that libraries send."""
    lines = [
        "POST /oauth/token HTTP/1.1",
        "Host: 127.0.0.1",
        "User-Agent: bench",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        *([f"Authorization: {authorization}"] if authorization else []),
    ]
    return "\r\n".join([*lines, "", body]).encode()


def door_report(of: DoorMeasured) -> str:
    """The table and the ratios."""
    rows = [
        _row("GetToken, in clear", of.grpc_clear, "gRPC, no caller authentication"),
        _row("POST, form, in clear", of.form_clear, "the token endpoint of the same server"),
        _row("POST, JSON, in clear", of.json_clear, ""),
        _row("GetToken, guarded", of.grpc_guarded, "mTLS, policy, audit log, sealed tokens"),
        _row("POST, form, guarded", of.form_guarded, "TLS, API key as client_secret, the rest as above"),
        _row("POST, Bearer, guarded", of.bearer_guarded, "API key in the Authorization header"),
    ]
    ratios = [
        ("form / GetToken, in clear", str(Ratio.of(of.form_clear.cpu, of.grpc_clear.cpu)), f"aim {AIM_CLEAR}"),
        ("JSON / GetToken, in clear", str(Ratio.of(of.json_clear.cpu, of.grpc_clear.cpu)), ""),
        ("form / GetToken, guarded", str(Ratio.of(of.form_guarded.cpu, of.grpc_guarded.cpu)), f"aim {AIM_GUARDED}"),
    ]
    return f"""\
Token endpoint: a token from memory by POST /oauth/token and by gRPC, {UNDER_WAY} under way, connections kept

{table(("", "CPU", "requests/s", ""), rows)}

{table(("server CPU per request", "ratio", ""), ratios)}

CPU: of the server process per request, median of the rounds, which alternate. Ratios as above."""


def _row(name: str, of: Figures, meaning: str) -> tuple[str, ...]:
    return name, duration(median(of.cpu)), f"{median(of.rate):,.0f}", meaning
