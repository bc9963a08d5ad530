"""The token endpoint of a replica inside the test's process: a real listener on loopback, and a client of raw bytes."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from mintonce_server.calls.admission import Admission, AdmissionLimits, WastedCalls
from mintonce_server.calls.tokens import TokenCalls
from mintonce_server.common.clock import Clock, SystemClock
from mintonce_server.observability.call_meter import CallMeter
from mintonce_server.web.listener import ListenerLimits, WebListener
from mintonce_server.web.token_endpoint.endpoint import TOKEN, EndpointOptions, TokenSite
from mintonce_server.web.token_endpoint.wanted import Registered
from support.house import AUDIENCE, CLIENT

FORM: Final = "application/x-www-form-urlencoded"
OPTIONS: Final = EndpointOptions(
    deadline=4.0,
    body_seconds=10.0,
    min_ttl=0.0,
    registered=Registered(frozenset({CLIENT}), {}, {}),
    failed_proofs_per_second=10.0,
    revocation=True,
    public_url=None,
)
"""For a test that cares about none of them. A test that does uses `dataclasses.replace`."""
LIMITS: Final = ListenerLimits(connections=200, per_address=150, idle_seconds=10.0, head=16 * 1024, headers=100)


@dataclass(frozen=True)
class Reply:
    """One answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        """The object of the body."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def error(self) -> str:
        return str(self.said["error"])


@dataclass(frozen=True)
class Door:
    """A running endpoint.

    Attributes:
        context: for connections to it; None: in clear.
        address: that connections come from.
    """

    port: int
    listener: WebListener
    site: TokenSite
    context: ssl.SSLContext | None = None
    address: str = "127.0.0.1"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """For whatever a test writes."""
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.context, local_addr=(self.address, 0), limit=1 << 20
        )

    async def exchange(self, *sent: bytes) -> list[Reply]:
        """All answers until the server closes the connection. Each of `sent` is a segment of its own."""
        reader, writer = await self.connect()
        try:
            for part in sent:
                writer.write(part)
                await writer.drain()
            async with asyncio.timeout(20.0):
                return replies(await reader.read())
        finally:
            writer.close()

    async def send(self, message: bytes) -> Reply:
        """The one answer."""
        (reply,) = await self.exchange(message)
        return reply

    async def ask(self, key: str | None = None, headers: Mapping[str, str] | None = None, **more: str) -> Reply:
        """A token, of CLIENT for AUDIENCE unless `more` says otherwise. `key`: as client_secret."""
        return await self.send(form(asked(key, **more), headers))


def asked(key: str | None = None, **more: str) -> dict[str, str]:
    """The parameters of a usual request. An empty value in `more` takes one away."""
    parameters = {"grant_type": "client_credentials", "client_id": CLIENT, "audience": AUDIENCE}
    parameters |= {"client_secret": key} if key else {}
    return {name: text for name, text in (parameters | more).items() if text}


def form(parameters: Mapping[str, str] | Sequence[tuple[str, str]], headers: Mapping[str, str] | None = None) -> bytes:
    """A request whose connection ends with its answer."""
    return message(urlencode(parameters).encode(), {"Content-Type": FORM, **(headers or {})})


def message(body: bytes, headers: Mapping[str, str], target: str = TOKEN, method: str = "POST") -> bytes:
    """A request. `headers` replace the usual ones."""
    usual = {"Host": "localhost", "Connection": "close", "Content-Length": str(len(body))}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in (usual | dict(headers)).items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def replies(answered: bytes) -> list[Reply]:
    """What a server wrote: answers with a Content-Length, one behind the other."""
    found: list[Reply] = []
    while answered:
        head, _, rest = answered.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1."), first
        headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
        assert len(headers) == len(lines), f"a header twice: {lines}"
        length = int(headers.get("content-length", "0"))
        assert len(rest) >= length, "half an answer"
        found.append(Reply(int(first.split(" ", 2)[1]), headers, rest[:length]))
        answered = rest[length:]
    return found


@asynccontextmanager
async def door(
    calls: TokenCalls,
    options: EndpointOptions = OPTIONS,
    limits: ListenerLimits = LIMITS,
    *,
    context: ssl.SSLContext | None = None,
    trusting: ssl.SSLContext | None = None,
    clock: Clock | None = None,
    meter: CallMeter | None = None,
) -> AsyncGenerator[Door]:
    """Serves a replica's tokens until the end of the block. `context`: of the server; `trusting`: of its callers."""
    clock = clock or SystemClock()
    wasted = WastedCalls(300, clock, lambda _: ())
    admission = Admission(calls.authorizer, AdmissionLimits(1000, 5.0), wasted, clock)
    site = TokenSite(calls, admission, options, clock, meter or CallMeter())
    listener = WebListener("127.0.0.1:0", site, clock, limits, socket_mode=0o600, context=context)
    url = await listener.start()
    try:
        yield Door(int(url.rpartition(":")[2]), listener, site, trusting)
    finally:
        await listener.stop(0.0)
