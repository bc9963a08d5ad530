"""The endpoint: from an HTTP request to a call, and from its result to an answer."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import HttpVersion11, web

from mintonce_server.calls.admission import Admission
from mintonce_server.calls.call import Call
from mintonce_server.calls.status import name_of
from mintonce_server.calls.tokens import TokenCalls
from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import LimitExceeded, MintonceError, Unauthenticated
from mintonce_server.core.policy import Act
from mintonce_server.core.secret import Secret
from mintonce_server.observability.call_meter import Answered, CallMeter
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import Quiet
from mintonce_server.web.answers import Answer
from mintonce_server.web.connection import connection_of
from mintonce_server.web.listener import CONTINUE, EXPECTS_CONTINUE
from mintonce_server.web.token_endpoint.answer import (
    LEAST,
    error_answer,
    json_answer,
    refusal,
    token_answer,
)
from mintonce_server.web.token_endpoint.discovery import metadata
from mintonce_server.web.token_endpoint.failed_proofs import FailedProofs
from mintonce_server.web.token_endpoint.request import Asked, BadRequest, Head, read_request
from mintonce_server.web.token_endpoint.transport import HttpTransport
from mintonce_server.web.token_endpoint.wanted import Registered

TOKEN: Final = "/oauth/token"  # noqa: S105 - a path
REVOKE: Final = "/oauth/revoke"
PATHS: Final = frozenset({TOKEN, "/oauth2/token", "/token"})
"""What clients of OAuth servers have in their settings: all the same."""
MAX_BODY: Final = 16 * 1024
PATIENCE: Final = 0.3
"""Seconds that a caller waits for a better token while there is a live one."""
PENALTY: Final = 0.5
"""Seconds until an address with too many failed proofs is told so: each of its connections makes few requests."""

_CLOSE: Final = {"Connection": "close"}
_NOTHING: Final = Asked("", None, {})
"""Takes the place of a request that cannot be read: its call has a refusal."""
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Server": "mintonce",
}


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """Attributes:
    deadline: seconds in which a request is answered, below the time-outs of common clients.
    body_seconds: in which its body must be there.
    min_ttl: seconds that a token should have left: more than the margin with which clients ask for the next one.
    registered: the clients.
    failed_proofs_per_second: for each address; 0: no limit.
    revocation: whether tokens can be revoked here.
    public_url: where libraries reach the endpoint. None: no discovery.
    """

    deadline: float
    body_seconds: float
    min_ttl: float
    registered: Registered
    failed_proofs_per_second: float
    revocation: bool
    public_url: str | None


@dataclass(frozen=True, slots=True)
class _Operation:
    """What is done at a path. `ended`: counts it."""

    act: Act
    name: str
    ended: Answered
    run: Callable[[Call, Asked], Awaitable[Answer]]


class TokenSite:
    """A Site with the endpoint."""

    headers: Mapping[str, str] = _HEADERS

    def __init__(
        self, calls: TokenCalls, admission: Admission, options: EndpointOptions, clock: Clock, meter: CallMeter
    ) -> None:
        self._calls = calls
        self._admission = admission
        self._options = options
        self._clock = clock
        self._meter = meter
        self._failed_proofs = FailedProofs(options.failed_proofs_per_second, clock)
        self._quiet = Quiet(clock)
        self._random = random.Random().random  # noqa: S311 - spreads the next requests
        get = _Operation(Act.GET, f"POST {TOKEN}", meter.route("POST", TOKEN), self._get)
        self._operations = dict.fromkeys(PATHS, get)
        if options.revocation:
            self._operations[REVOKE] = _Operation(
                Act.REJECT, f"POST {REVOKE}", meter.route("POST", REVOKE), self._revoke
            )

    async def answer(self, request: web.BaseRequest) -> Answer:
        if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:  # what browsers send
            return refusal(403, "this endpoint is not for browsers", _CLOSE)
        # As it was sent: nothing is decoded, and a target with a host in it is for a proxy.
        path = request.raw_path.partition("?")[0]
        operation = self._operations.get(path)
        if operation is None:
            return self._elsewhere(request, path)
        if request.method != "POST":
            return refusal(405, "only POST", {"Allow": "POST", **_CLOSE})
        return await self._called(request, operation)

    def failed(self, request: web.BaseRequest, error: Exception) -> Answer:
        if isinstance(error, TimeoutError):
            return refusal(408, "the request took too long to arrive", _CLOSE)
        if (left_out := self._quiet.more(type(error).__name__)) is not None:
            get_logger(__name__).error("internal_error", where="token_endpoint", exc_info=error, left_out=left_out)
        internal = MintonceError("internal error", remedy="Look into the server's log.")
        return error_answer(internal, "", used_authorization=False)

    def unreadable(self, *, too_large: bool) -> Answer:
        if too_large:
            return refusal(431, "the head of the request is too large")
        return refusal(400, "the request cannot be read")

    def _elsewhere(self, request: web.BaseRequest, path: str) -> Answer:
        """Discovery, or nothing."""
        options = self._options
        if options.public_url is not None and request.method == "GET" and not request.can_read_body:
            revoke = REVOKE if options.revocation else None
            if (said := metadata(options.public_url, path, TOKEN, revoke)) is not None:
                return json_answer(said)
        return refusal(404, f"there is no such path; ask for a token at {TOKEN}", _CLOSE)

    async def _called(self, request: web.BaseRequest, operation: _Operation) -> Answer:
        began, asked, address = self._clock.monotonic(), _NOTHING, connection_of(request).address
        try:
            asked = read_request(_head(request), await _body(request, self._options.body_seconds))
            if asked.proof is not None:  # a certificate was proven before
                self._failed_proofs.require_room(address)
        except MintonceError as error:
            if isinstance(error, LimitExceeded):
                await asyncio.sleep(PENALTY)
            transport = self._transport(request, None, began)
            call = self._admission.turn_away(transport, error)
        else:
            transport = self._transport(request, asked.proof, began)
            admitted = self._admission.admit(transport)
            if admitted is None:
                return refusal(503, "this connection is closed", _CLOSE)
            call = admitted
            if isinstance(call.refusal, Unauthenticated):
                self._failed_proofs.note(address)
        try:
            return await self._answered(call, asked, operation, "Authorization" in request.headers)
        finally:
            transport.end()

    def _transport(self, request: web.BaseRequest, proof: Secret | None, began: float) -> HttpTransport:
        return HttpTransport(request, connection_of(request).peer, proof, began + self._options.deadline, self._clock)

    async def _answered(self, call: Call, asked: Asked, operation: _Operation, used_authorization: bool) -> Answer:
        self._meter.http += 1
        self._trace(call, operation.name)
        try:
            answer = await operation.run(call, asked)
        except asyncio.CancelledError:
            _trace_end(call, "CANCELLED", "")
            raise
        except Exception as error:  # noqa: BLE001 - the last line: a fault of ours says nothing to the caller
            said = call.log_failure(error)
            answer = error_answer(said, call.request_id(), used_authorization=used_authorization, act=operation.act)
            self._meter.failed(operation.name, said.reason.value, call.client)
            _trace_end(call, name_of(error), said.reason.value)
        else:
            _trace_end(call, "OK", "")
        finally:
            self._meter.http -= 1
        operation.ended(answer.status, self._admission.age(call))
        return answer

    async def _get(self, call: Call, asked: Asked) -> Answer:
        served = await self._calls.get(
            call,
            lambda: (self._options.registered.key(asked), self._options.min_ttl),
            patience=PATIENCE,
            least=LEAST,
        )
        return token_answer(served, self._clock.monotonic(), self._random())

    async def _revoke(self, call: Call, asked: Asked) -> Answer:
        """RFC 7009, section 2.2: 200 whether or not there was such a token."""
        await self._calls.revoke(call, lambda: self._options.registered.revocation(asked))
        return Answer(200, {}, b"")

    def _trace(self, call: Call, name: str) -> None:
        """Not a call whose caller is not known: it must not decide what is recorded."""
        if self._meter.tracer is None or call.proof is None:
            return
        try:
            sent = call.transport.metadata()
            call.span = self._meter.tracer.call(name, call.peer, sent, call.at, watches=False, via="http")
        except Exception as error:  # noqa: BLE001 - what a caller sent must not fail in a library, and a call not for it
            call.log_failure(error)


def _trace_end(call: Call, code: str, reason: str) -> None:
    if call.span is not None:
        call.span.end(code, reason, call.client)


def _head(request: web.BaseRequest) -> Head:
    headers = request.headers
    if headers.getall("Content-Encoding", []):
        raise BadRequest("the body is compressed", "Send it as it is.", status=415)
    return Head(
        content_types=headers.getall("Content-Type", []),
        authorizations=headers.getall("Authorization", []),
        query=request.raw_path.partition("?")[2],
        has_dpop="DPoP" in headers,
    )


async def _body(request: web.BaseRequest, seconds: float) -> bytes:
    """Raises BadRequest when it is too large, TimeoutError when it does not come."""
    if request.content.is_eof():  # it came with the head, as most do
        body = request.content.read_nowait()
        if len(body) <= MAX_BODY:
            return body
        raise _too_large()
    async with asyncio.timeout(seconds):
        return await _late_body(request)


async def _late_body(request: web.BaseRequest) -> bytes:
    body = bytearray()
    if (request.content_length or 0) <= MAX_BODY:
        waits = request.headers.get("Expect", "").lower() == EXPECTS_CONTINUE
        if waits and request.version >= HttpVersion11:
            await request.writer.write(CONTINUE)
            request.writer.output_size = 0
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > MAX_BODY:
                break
        else:
            return bytes(body)
    raise _too_large()


def _too_large() -> BadRequest:
    return BadRequest("the body is too large", f"Send at most {MAX_BODY} bytes.", status=413)
