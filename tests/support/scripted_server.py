"""A peer for the client's tests: a real gRPC server that says what a test tells it to, and counts what it was asked."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import time
from typing import NoReturn, Self

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from mintonce.v1 import admin_pb2, admin_pb2_grpc, tokens_pb2, tokens_pb2_grpc, types_pb2

CLIENT = "billing"
AUDIENCE = "https://api.example.com/"


def failure(
    reason: str, remedy: str = "Mend it.", retry_after: float | None = None, **metadata: str
) -> tuple[tuple[str, bytes], ...]:
    """Trailing metadata as a mintonced sends it."""
    info = ErrorInfo(reason=reason, domain="mintonce", metadata={"remedy": remedy, **metadata})
    status = Status(code=1, message="unused")
    details: list[Message] = [info]
    if retry_after is not None:
        details.append(RetryInfo(retry_delay=Duration(nanos=int(retry_after * 1e9) % 10**9, seconds=int(retry_after))))
    for detail in details:
        status.details.add().Pack(detail)
    return (("grpc-status-details-bin", status.SerializeToString()),)


class ScriptedServer(tokens_pb2_grpc.TokenServiceServicer, admin_pb2_grpc.AdminServiceServicer):
    """Serves one token, `publish`ed by the test; RejectToken drops it, and GetToken then publishes the next.

    Attributes:
        calls: how often each method was called, by name.
        requests: what came, oldest first.
        metadata: what came with each of them.
        pages: of a list; each has the same token.
    """

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self.calls: Counter[str] = Counter()
        self.requests: list[Message] = []
        self.metadata: list[dict[str, str]] = []
        self.lifetime = 3600.0
        self.refresh_in: float | None = None
        self.expire_time: int | None = None
        self.mints = True
        self.pages = 1
        self._address = address
        self._changed = threading.Condition()
        self._token: types_pb2.Token | None = None
        self._generation = 100
        self._listed_scopes: list[str] = []
        self._epoch = 0
        self._failures: dict[str, tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...], int]] = {}
        self._gates: dict[str, threading.Event] = {}
        self._server: grpc.Server | None = None
        self.publish()
        self.start()

    @property
    def target(self) -> str:
        return self._address

    def start(self) -> None:
        """Again on the same address, after a stop."""
        self._epoch += 1
        server = grpc.server(ThreadPoolExecutor(max_workers=64), options=[("grpc.so_reuseport", 0)])
        tokens_pb2_grpc.add_TokenServiceServicer_to_server(self, server)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(self, server)
        port = server.add_insecure_port(self._address)
        if self._address.endswith(":0"):
            self._address = f"127.0.0.1:{port}"
        server.start()
        self._server = server

    def stop(self) -> None:
        """Hang up on everybody."""
        with self._changed:
            self._epoch += 1
            self._changed.notify_all()
        for gate in self._gates.values():
            gate.set()
        if self._server is not None:
            self._server.stop(None).wait(5)
            self._server = None

    def publish(self, generation: int | None = None) -> int:
        """A new token, at once sent to all who watch. Its text is `secret-GENERATION`."""
        with self._changed:
            self._generation = self._generation + 1 if generation is None else generation
            self._token = types_pb2.Token(
                access_token=f"secret-{self._generation}", token_type="Bearer", generation=self._generation
            )
            self._changed.notify_all()
            return self._generation

    def publish_text(self, text: str) -> None:
        """A token all of whose texts are this one; what is listed has it, too."""
        self.publish()
        with self._changed:
            self._listed_scopes = [text]
            self._token = types_pb2.Token(
                access_token=text, token_type=text, scopes=[text], generation=self._generation
            )
            self._changed.notify_all()

    def fail(self, method: str, code: grpc.StatusCode, reason: str = "", times: int = 1 << 30, **how: object) -> None:
        """The method fails so, so often. Without a reason it says nothing but the code."""
        retry_after, message = how.pop("retry_after", None), str(how.pop("message", f"{method} failed"))
        metadata = {key: str(value) for key, value in how.items()}
        details = failure(reason, retry_after=_number(retry_after), **metadata) if reason else ()
        with self._changed:
            self._failures[method] = (code, message, details, times)

    def mend(self, method: str) -> None:
        """The method works again."""
        with self._changed:
            self._failures.pop(method, None)

    def hold(self, method: str) -> threading.Event:
        """The method answers only when the event is set."""
        gate = self._gates[method] = threading.Event()
        return gate

    def wait_for(self, predicate: Callable[[Mapping[str, int]], object], timeout: float = 10.0) -> None:
        """Until the predicate on `calls` is true."""
        with self._changed:
            assert self._changed.wait_for(lambda: predicate(self.calls), timeout), f"not called so: {self.calls}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def GetToken(
        self, request: tokens_pb2.GetTokenRequest, context: grpc.ServicerContext
    ) -> tokens_pb2.GetTokenResponse:
        self._called("GetToken", request, context)
        if self._token is None and self.mints:
            self.publish()
        return tokens_pb2.GetTokenResponse(token=self._current())

    def WatchToken(
        self, request: tokens_pb2.WatchTokenRequest, context: grpc.ServicerContext
    ) -> Iterator[tokens_pb2.WatchTokenResponse]:
        self._called("WatchToken", request, context)
        epoch, sent = self._epoch, 0
        context.add_callback(self._wake)
        while context.is_active() and epoch == self._epoch:
            with self._changed:
                token = self._token
                if token is None or token.generation == sent:
                    self._changed.wait(1.0)
                    continue
                sent = token.generation
            yield tokens_pb2.WatchTokenResponse(token=self._current())
        _abort(context, grpc.StatusCode.UNAVAILABLE, "draining", failure("DRAINING"))

    def RejectToken(
        self, request: tokens_pb2.RejectTokenRequest, context: grpc.ServicerContext
    ) -> tokens_pb2.RejectTokenResponse:
        self._called("RejectToken", request, context)
        with self._changed:
            was_current = self._token is not None and request.generation == self._token.generation
            if was_current:
                self._token = None
        return tokens_pb2.RejectTokenResponse(was_current=was_current)

    def ListTokens(
        self, request: admin_pb2.ListTokensRequest, context: grpc.ServicerContext
    ) -> admin_pb2.ListTokensResponse:
        self._called("ListTokens", request, context)
        summary = admin_pb2.TokenSummary(
            key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE, scopes=self._listed_scopes),
            generation=self._generation,
            key_hash="ab" * 16,
        )
        summary.expires_in.FromMilliseconds(3_599_500)
        page = int(request.page_token or 1)
        return admin_pb2.ListTokensResponse(
            tokens=[summary], incomplete=True, next_page_token=str(page + 1) if page < self.pages else ""
        )

    def RotateToken(
        self, request: admin_pb2.RotateTokenRequest, context: grpc.ServicerContext
    ) -> admin_pb2.RotateTokenResponse:
        self._called("RotateToken", request, context)
        before = self._generation
        return admin_pb2.RotateTokenResponse(previous_generation=before, generation=self.publish())

    def GetUsage(self, request: admin_pb2.GetUsageRequest, context: grpc.ServicerContext) -> admin_pb2.GetUsageResponse:
        self._called("GetUsage", request, context)
        return admin_pb2.GetUsageResponse(client=request.client)

    def _called(self, method: str, request: Message, context: grpc.ServicerContext) -> None:
        with self._changed:
            self.calls[method] += 1
            self.requests.append(request)
            self.metadata.append({name: str(value) for name, value in context.invocation_metadata()})
            self._changed.notify_all()
        if method in self._gates:
            self._gates[method].wait(30)
        with self._changed:
            code, text, details, times = self._failures.get(method, (None, "", (), 0))
            if code is None or times == 0:
                return
            self._failures[method] = (code, text, details, times - 1)
        _abort(context, code, text, details)

    def _current(self) -> types_pb2.Token:
        result = types_pb2.Token()
        with self._changed:
            if self._token is not None:
                result.CopyFrom(self._token)
        result.expires_in.FromMicroseconds(int(self.lifetime * 1e6))
        refresh_in = 0.9 * self.lifetime if self.refresh_in is None else self.refresh_in
        result.refresh_in.FromMicroseconds(int(refresh_in * 1e6))
        result.expire_time.seconds = int(time() + self.lifetime) if self.expire_time is None else self.expire_time
        result.origin = types_pb2.ORIGIN_MEMORY
        result.scopes.extend(["read", "write"])
        return result

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _abort(
    context: grpc.ServicerContext, code: grpc.StatusCode, text: str, details: tuple[tuple[str, bytes], ...]
) -> NoReturn:
    context.set_trailing_metadata(details)
    context.abort(code, text)


def _number(value: object) -> float | None:
    return value if isinstance(value, float) else None
