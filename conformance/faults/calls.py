"""Faults in calls, and in what they are made of."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import grpc

from conformance.faults.plant import put
from mintonce import (
    AsyncTokenClient,
    AsyncTokenSource,
    MintonceError,
    _channel,
    _connection,
    _status,
    _translate,
    _wire,
)
from mintonce._files import Watched
from mintonce.credentials import Tls
from mintonce.errors import closed


def no_anchor() -> None:
    proper = _wire.token_of

    def token_of(message: Any, anchor: float) -> Any:
        return proper(message, time.monotonic())

    put(_wire, "token_of", token_of)


def believes_the_wall_clock() -> None:
    proper = _wire.token_of

    def token_of(message: Any, anchor: float) -> Any:
        left = message.expire_time.ToNanoseconds() / 1e9 - time.time()
        message.expires_in.FromNanoseconds(int(left * 1e9))
        return proper(message, anchor)

    put(_wire, "token_of", token_of)


def takes_what_no_header_can_hold() -> None:
    anything = re.compile(".*", re.DOTALL)
    put(_wire, "_TEXT", anything)
    put(_wire, "_TYPE", anything)


def retries_after_a_pushback() -> None:
    proper = AsyncTokenClient.get

    async def get(self: Any, *what: Any, **how: Any) -> Any:
        try:
            return await proper(self, *what, **how)
        except MintonceError as error:
            if error.code is not grpc.StatusCode.UNAVAILABLE:
                raise
            return await proper(self, *what, **how)

    put(AsyncTokenClient, "get", get)


def never_retries() -> None:
    _service_config(lambda config: config.pop("methodConfig"))


def sends_no_pings() -> None:
    kept = {name: value for name, value in _channel.OPTIONS if "keepalive" not in name and "ping" not in name}
    put(_channel, "OPTIONS", tuple(kept.items()))


def takes_a_socket_for_a_name() -> None:
    proper = _channel.resolve_target

    def resolve_target(target: str | None) -> str:
        return proper(target).removeprefix("unix:")

    put(_channel, "resolve_target", resolve_target)


def retries_a_rotation() -> None:
    _service_config(lambda config: config["methodConfig"][0].update(name=[{}]))


def _service_config(change: Callable[[Any], object]) -> None:
    options = dict(_channel.OPTIONS)
    config = json.loads(options["grpc.service_config"])
    change(config)
    options["grpc.service_config"] = json.dumps(config)
    put(_channel, "OPTIONS", tuple(options.items()))


def no_deadline() -> None:
    proper = AsyncTokenClient.get

    async def get(self: Any, *what: Any, **how: Any) -> Any:
        return await proper(self, *what, **{**how, "timeout": 10.0})

    put(AsyncTokenClient, "get", get)


def closed_for_a_cancellation() -> None:
    proper = AsyncTokenSource.reject

    async def reject(self: Any, *what: Any, **how: Any) -> Any:
        try:
            return await proper(self, *what, **how)
        except asyncio.CancelledError:
            raise closed("source") from None

    put(AsyncTokenSource, "reject", reject)


def knows_old_reasons_only() -> None:
    def kind_by_code(code: grpc.StatusCode) -> type[MintonceError]:
        return MintonceError

    put(_translate, "_kind_by_code", kind_by_code)


def believes_foreign_details() -> None:
    put(_status, "_DOMAIN", "googleapis.com")


def reads_no_environment() -> None:
    def nothing(environ: Mapping[str, str]) -> None:
        return None

    put(_connection, "tls_from", nothing)
    put(_connection, "bearer_from", nothing)


def guesses_at_contradictions() -> None:
    def tls_from(environ: Mapping[str, str]) -> Tls:
        return Tls(environ.get("MINTONCE_CA_FILE"))

    put(_connection, "tls_from", tls_from)


def a_bearer_in_clear() -> None:
    def is_local(target: str) -> bool:
        return True

    put(_connection, "is_local", is_local)


def an_old_bearer() -> None:
    def current(self: Any) -> Any:
        return self._value

    put(Watched, "current", current)


def a_proxy_for_loopback() -> None:
    put(_connection, "_NO_PROXY", ("grpc.enable_http_proxy", 1))
