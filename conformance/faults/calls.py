"""Faults in calls, and in what they are made of."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import grpc

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
    _wire.token_of = lambda message, anchor: proper(message, time.monotonic())


def believes_the_wall_clock() -> None:
    proper = _wire.token_of

    def token_of(message: Any, anchor: float) -> Any:
        left = message.expire_time.ToNanoseconds() / 1e9 - time.time()
        message.expires_in.FromNanoseconds(int(left * 1e9))
        return proper(message, anchor)

    _wire.token_of = token_of


def retries_after_a_pushback() -> None:
    proper = AsyncTokenClient.get

    async def get(self: Any, *what: Any, **how: Any) -> Any:
        try:
            return await proper(self, *what, **how)
        except MintonceError as error:
            if error.code is not grpc.StatusCode.UNAVAILABLE:
                raise
            return await proper(self, *what, **how)

    AsyncTokenClient.get = get  # type: ignore[method-assign]


def never_retries() -> None:
    _service_config(lambda config: config.pop("methodConfig"))


def retries_a_rotation() -> None:
    _service_config(lambda config: config["methodConfig"][0].update(name=[{}]))


def _service_config(change: Callable[[Any], object]) -> None:
    options = dict(_channel.OPTIONS)
    config = json.loads(options["grpc.service_config"])
    change(config)
    options["grpc.service_config"] = json.dumps(config)
    _channel.OPTIONS = tuple(options.items())  # type: ignore[misc]


def no_deadline() -> None:
    proper = AsyncTokenClient.get

    async def get(self: Any, *what: Any, **how: Any) -> Any:
        return await proper(self, *what, **{**how, "timeout": 10.0})

    AsyncTokenClient.get = get  # type: ignore[method-assign]


def closed_for_a_cancellation() -> None:
    proper = AsyncTokenSource.reject

    async def reject(self: Any, *what: Any, **how: Any) -> Any:
        try:
            return await proper(self, *what, **how)
        except asyncio.CancelledError:
            raise closed("source") from None

    AsyncTokenSource.reject = reject  # type: ignore[method-assign]


def knows_old_reasons_only() -> None:
    _translate._kind_by_code = lambda code: MintonceError


def believes_foreign_details() -> None:
    _status._DOMAIN = "googleapis.com"  # type: ignore[misc]


def reads_no_environment() -> None:
    _connection.tls_from = lambda environ: None
    _connection.bearer_from = lambda environ: None


def guesses_at_contradictions() -> None:
    _connection.tls_from = lambda environ: Tls(environ.get("MINTONCE_CA_FILE"))


def a_bearer_in_clear() -> None:
    _connection.is_local = lambda target: True


def an_old_bearer() -> None:
    Watched.current = lambda self: self._value  # type: ignore[method-assign]


def a_proxy_for_loopback() -> None:
    _connection._NO_PROXY = ("grpc.enable_http_proxy", 1)  # type: ignore[assignment, misc]
