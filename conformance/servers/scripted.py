"""A gRPC server that says what a case tells it to, and writes down what it was asked."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any, Final, NoReturn, Self, cast

import grpc
from google.protobuf.message import Message

from conformance.servers.failures import Failure
from conformance.servers.tokens import Published
from mintonce.v1 import admin_pb2, admin_pb2_grpc, tokens_pb2, tokens_pb2_grpc, types_pb2

CLIENT: Final = "billing"
AUDIENCE: Final = "https://api.example.com/"
KEY: Final[dict[str, Any]] = {"client": CLIENT, "audience": AUDIENCE}
FIRST: Final = 101
LONG: Final = 30.0
FOR_EVER: Final = 1 << 30

# As a mintonced allows: watches are long and silent, and pings must not count as an attack.
_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


@dataclass(frozen=True)
class Call:
    """One that arrived."""

    method: str
    request: Message
    peer: str
    metadata: dict[str, str]
    common_name: str
    at: float = field(default_factory=monotonic)

    @property
    def authorization(self) -> str:
        return self.metadata.get("authorization", "")


class Scripted(tokens_pb2_grpc.TokenServiceServicer, admin_pb2_grpc.AdminServiceServicer):
    """Serves one token, which the case publishes. Rejected or over, GetToken mints the next.

    The life of the first token begins with the first call.

    Attributes:
        calls: what came, oldest first.
        lifetime, refresh_in: of the tokens that GetToken mints.
        mints: whether it mints. Without it, GetToken without a live token is held until its deadline.
        watching: the watches that are open now.
        end_watches: whether each ends, by OK, after its first message.
        published: all tokens there have been.
    """

    def __init__(
        self, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None, **first: Any
    ) -> None:
        self.calls: list[Call] = []
        self.lifetime = 3600.0
        self.refresh_in: float | None = None
        self.mints = True
        self.watching = 0
        self.end_watches = False
        self.published: list[Published] = []
        self.credentials = credentials
        self._address = address
        self._changed = threading.Condition()
        self._token: Published | None = None
        self._epoch = 0
        self._failures: dict[str, tuple[Failure, int]] = {}
        self._delays: dict[str, float] = {}
        self._gates: dict[str, threading.Event] = {}
        self._draining = False
        self._server: grpc.Server | None = None
        self.publish(generation=FIRST, **first)
        self.start()

    @property
    def target(self) -> str:
        return self._address

    @property
    def port(self) -> int:
        return int(self._address.rpartition(":")[2])

    @property
    def token(self) -> Published:
        """The one that it serves."""
        assert self._token is not None
        return self._token

    # --- what a case does

    def start(self) -> None:
        """Again on the same address, after a stop."""
        self._epoch += 1
        self._draining = False
        server = grpc.server(ThreadPoolExecutor(max_workers=200), options=_OPTIONS)
        tokens_pb2_grpc.add_TokenServiceServicer_to_server(self, server)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(self, server)
        if self.credentials is None:
            port = server.add_insecure_port(self._address)
        else:
            port = server.add_secure_port(self._address, self.credentials)
        if self._address.endswith(":0"):
            self._address = f"{self._address.removesuffix('0')}{port}"
        server.start()
        self._server = server

    def stop(self) -> None:
        """Hang up on everybody, without a word."""
        server, self._server = self._server, None
        if server is not None:
            stopped = server.stop(None)
            with self._changed:
                self._epoch += 1
                self._changed.notify_all()
            for gate in self._gates.values():
                gate.set()
            stopped.wait(5)

    def drain(self) -> None:
        """As a replica that is replaced: watches end by DRAINING, calls under way end, then it is gone."""
        with self._changed:
            self._draining = True
            self._changed.notify_all()
        server, self._server = self._server, None
        if server is not None:
            server.stop(2.0).wait(5)

    def publish(self, generation: int | None = None, *, lifetime: float | None = None, **how: Any) -> Published:
        """A new token, at once sent to all who watch."""
        with self._changed:
            last = self.published[-1].generation if self.published else FIRST - 1
            how.setdefault("refresh_in", self.refresh_in)
            token = Published(
                last + 1 if generation is None else generation,
                self.lifetime if lifetime is None else lifetime,
                **how,
            )
            self.published.append(token)
            self._token = token
            self._changed.notify_all()
            return token

    def drop(self) -> None:
        """The token is served no more."""
        with self._changed:
            self._token = None

    def fail(self, method: str, failure: Failure, times: int = FOR_EVER) -> None:
        """The method fails so, so often."""
        with self._changed:
            self._failures[method] = (failure, times)

    def mend(self, method: str) -> None:
        with self._changed:
            self._failures.pop(method, None)

    def delay(self, method: str, seconds: float) -> None:
        """From now on its answers, failures too, are ready at once, and arrive so much later."""
        self._delays[method] = seconds

    def hold(self, method: str) -> threading.Event:
        """The method answers only when the event is set."""
        gate = self._gates[method] = threading.Event()
        return gate

    # --- what a case looks at

    def count(self, method: str) -> int:
        with self._changed:
            return sum(call.method == method for call in self.calls)

    def calls_of(self, method: str) -> list[Call]:
        with self._changed:
            return [call for call in self.calls if call.method == method]

    def wait_until(self, done: Callable[[], object], what: str, timeout: float = 10.0) -> None:
        with self._changed:
            assert self._changed.wait_for(done, timeout), f"not within {timeout} s: {what}; calls: {self._counts()}"

    def wait_for_calls(self, method: str, at_least: int = 1, timeout: float = 10.0) -> None:
        self.wait_until(lambda: self.count(method) >= at_least, f"{at_least} × {method}", timeout)

    def wait_for_watches(self, exactly: int = 1, timeout: float = 10.0) -> None:
        self.wait_until(lambda: self.watching == exactly, f"{exactly} open watches (now {self.watching})", timeout)

    def _counts(self) -> dict[str, int]:
        return {method: self.count(method) for method in sorted({call.method for call in self.calls})}

    # --- the services

    def GetToken(self, request: tokens_pb2.GetTokenRequest, context: grpc.ServicerContext) -> Any:
        self._arrived("GetToken", request, context)
        with self._changed:
            if self._token is None or not self._token.is_live:
                if not self.mints:
                    self._changed.wait_for(self._has_live, context.time_remaining() or LONG)
                elif not self._has_live():
                    self.publish()
            response = tokens_pb2.GetTokenResponse(token=self._message())
        self._wait_for_delay("GetToken")
        return response

    def WatchToken(self, request: tokens_pb2.WatchTokenRequest, context: grpc.ServicerContext) -> Iterator[Any]:
        self._arrived("WatchToken", request, context)
        context.add_callback(self._wake)
        epoch, sent = self._epoch, None
        with self._changed:
            self.watching += 1
            self._changed.notify_all()
        try:
            while context.is_active() and epoch == self._epoch and not self._draining:
                with self._changed:
                    token = self._token
                    if token is None or token is sent or not token.is_live:
                        self._changed.wait(0.5)
                        continue
                    sent = token
                yield tokens_pb2.WatchTokenResponse(token=token.message())
                if self.end_watches:
                    return
        finally:
            with self._changed:
                self.watching -= 1
                self._changed.notify_all()
        if self._draining:
            _abort(context, Failure(grpc.StatusCode.UNAVAILABLE, "DRAINING"))

    def RejectToken(self, request: tokens_pb2.RejectTokenRequest, context: grpc.ServicerContext) -> Any:
        self._arrived("RejectToken", request, context)
        with self._changed:
            token = self._token
            was_current = token is not None and (
                request.generation == token.generation or request.access_token_sha256.hex() == token.sha256
            )
            if was_current:
                self._token = None
        self._wait_for_delay("RejectToken")
        return tokens_pb2.RejectTokenResponse(was_current=was_current)

    def ListTokens(self, request: admin_pb2.ListTokensRequest, context: grpc.ServicerContext) -> Any:
        self._arrived("ListTokens", request, context)
        page = int(request.page_token or 1)
        summary = admin_pb2.TokenSummary(
            key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE), generation=FIRST + page - 1, key_hash="ab" * 16
        )
        return admin_pb2.ListTokensResponse(tokens=[summary], next_page_token="2" if page == 1 else "")

    def RotateToken(self, request: admin_pb2.RotateTokenRequest, context: grpc.ServicerContext) -> Any:
        self._arrived("RotateToken", request, context)
        before = self.published[-1].generation
        return admin_pb2.RotateTokenResponse(previous_generation=before, generation=self.publish().generation)

    def GetUsage(self, request: admin_pb2.GetUsageRequest, context: grpc.ServicerContext) -> Any:
        self._arrived("GetUsage", request, context)
        return admin_pb2.GetUsageResponse(client=request.client)

    def _arrived(self, method: str, request: Message, context: grpc.ServicerContext) -> None:
        # The stubs take each value for bytes, where gRPC gives a list of them.
        names = cast("dict[str, list[bytes]]", context.auth_context()).get("x509_common_name", [b""])
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        with self._changed:
            if not self.calls and self._token is not None:
                # Its life begins now: a case has all of it, however long a connection takes to be made.
                self._token = self.published[-1] = replace(self._token, at=monotonic())
            self.calls.append(Call(method, request, context.peer(), metadata, names[0].decode()))
            self._changed.notify_all()
        if method in self._gates:
            self._gates[method].wait(LONG)
        with self._changed:
            failure, times = self._failures.get(method, (None, 0))
            if failure is None or times == 0:
                return
            self._failures[method] = (failure, times - 1)
        self._wait_for_delay(method)
        _abort(context, failure)

    def _has_live(self) -> bool:
        return self._token is not None and self._token.is_live

    def _message(self) -> types_pb2.Token:
        return types_pb2.Token() if self._token is None else self._token.message()

    def _wait_for_delay(self, method: str) -> None:
        if seconds := self._delays.get(method):
            threading.Event().wait(seconds)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _abort(context: grpc.ServicerContext, failure: Failure) -> NoReturn:
    context.set_trailing_metadata(failure.metadata())  # type: ignore[arg-type] # tuples, the stubs want
    context.abort(failure.code, failure.message)


def unix_address(folder: Path) -> str:
    return f"unix:{folder / 'm.sock'}"
