"""Between the protocol's JSON and the values of the Python client."""

import asyncio
import hashlib
from typing import Any, cast

from mintonce import ApiKeyFile, BearerFile, Closed, MintonceError, Refused, Tls, Token, TokenExpired
from mintonce.errors import Unavailable, Unreachable

_CLASSES = (Closed, TokenExpired, Unreachable, Unavailable, Refused)


class Unsupported(Exception):
    """Python's client has no such thing."""


class Partly(Exception):
    """A watch that ended by an error, after some tokens."""

    def __init__(self, error: BaseException, tokens: list[Any]) -> None:
        super().__init__()
        self.error = error
        self.tokens = tokens


def token(value: Token) -> dict[str, Any]:
    return {
        "generation": value.generation,
        "sha256": value.fingerprint.hex(),
        "header_sha256": hashlib.sha256(value.header.encode()).hexdigest(),
        "live": value.is_live,
        "remaining_ms": value.expires_in() * 1000,
        "refresh_ms": value.refresh_in() * 1000,
        "degraded": value.degraded,
        "origin": str(value.origin),
        "scopes": value.scopes,
        "type": value.token_type,
    }


def error(value: BaseException, *, cancelled: bool = False) -> dict[str, Any]:
    if isinstance(value, MintonceError):
        return _ours(value)
    if isinstance(value, asyncio.CancelledError) and cancelled:
        return {"class": "Cancelled", "message": repr(value)}
    if isinstance(value, ValueError | TypeError):
        return {"class": "Usage", "message": str(value)}
    return {"class": "Testee", "message": repr(value)}


def _ours(value: MintonceError) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "class": _class(value),
        "reason": value.reason,
        "message": value.message,
        "remedy": value.remedy,
        "retry_after_ms": None if value.retry_after is None else value.retry_after * 1000,
        "code": value.code.name,
        "issuer_error": value.issuer_error,
        "request_id": value.request_id,
    }
    if isinstance(value.__cause__, MintonceError):
        answer["cause"] = {"class": _class(value.__cause__), "reason": value.__cause__.reason}
    return answer


def _class(value: MintonceError) -> str:
    return next((kind.__name__ for kind in _CLASSES if isinstance(value, kind)), "Other")


def key(request: dict[str, Any]) -> tuple[str, str, list[str]]:
    return request["client"], request.get("audience") or "", request.get("scopes") or []


def seconds(request: dict[str, Any], name: str) -> float | None:
    value = request.get(name)
    return None if value is None else value / 1000


def timeout(request: dict[str, Any]) -> dict[str, Any]:
    value = seconds(request, "timeout_ms")
    return {} if value is None else {"timeout": value}


def connection(request: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a client or a source: only those that were said."""
    options = timeout(request)
    if request.get("target") is not None:
        options["target"] = request["target"]
    if (tls := request.get("tls")) is not None:
        options["tls"] = Tls(**cast("dict[str, Any]", tls)) if isinstance(tls, dict) else tls
    if (path := request.get("bearer_file")) is not None:
        options["bearer"] = BearerFile(path) if path is not False else False
    if (path := request.get("api_key_file")) is not None:
        options["bearer"] = ApiKeyFile(path)
    return options
