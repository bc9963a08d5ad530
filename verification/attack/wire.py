"""Sends bytes to a method of a real server, as a program that knows nothing of our client would."""

import base64
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import grpc
from attack.hostile import STREAMS

from mintonce.v1 import tokens_pb2
from mintonce_server.api.status import CODES

SLACK: Final = 2
"""Seconds that clocks and roundings may make of a token's end."""

Metadata = Sequence[tuple[str, str | bytes]]

OUR_CODES: Final = frozenset({code.name for code in CODES.values()} - {"INTERNAL"}) | {"OK"}
GRPC_CODES: Final = frozenset({"UNIMPLEMENTED"})
"""What gRPC itself says of methods that do not exist."""


@dataclass(frozen=True)
class Said:
    """How a call ended. `text`: the message of its status."""

    code: str
    text: str
    answer: bytes = b""


class Wire:
    """One connection, on which bytes are sent and received as they are."""

    def __init__(self, channel: grpc.Channel, timeout: float) -> None:
        self._channel = channel
        self._timeout = timeout

    def call(self, method: str, message: bytes, metadata: Metadata = ()) -> Said:
        """One message there, at most one back."""
        try:
            if method in STREAMS:
                return self._first(method, message, metadata)
            call = cast(Any, self._channel.unary_unary(method))
            return Said("OK", "", call(message, timeout=self._timeout, metadata=tuple(metadata)))
        except grpc.RpcError as error:
            ended = cast(grpc.Call, error)
            return Said(ended.code().name, ended.details() or "")

    def _first(self, method: str, message: bytes, metadata: Metadata) -> Said:
        call = cast(Any, self._channel.unary_stream(method))
        answers = call(message, timeout=self._timeout, metadata=tuple(metadata))
        try:
            return Said("OK", "", next(answers))
        except StopIteration:
            return Said(answers.code().name, answers.details() or "")
        finally:
            answers.cancel()


@contextmanager
def wired(target: str, timeout: float = 10.0) -> Generator[Wire]:
    """In clear, without a retry policy or any other kindness."""
    options = [("grpc.enable_retries", 0), ("grpc.max_metadata_size", 1 << 20)]
    with grpc.insecure_channel(target, options=options) as channel:
        yield Wire(channel, timeout)


def bearer(key: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {key}")


def broken_law(method: str, message: bytes, said: Said, *, allowed: frozenset[str] = OUR_CODES | GRPC_CODES) -> str:
    """What is wrong with the end of a call, "" if nothing is."""
    if said.code not in allowed:
        return f"{method} ended {said.code}: {said.text[:200]!r}"
    if not said.text.isprintable():
        return f"{method} said something that does not print"
    if said.code == "OK" and method.endswith("/GetToken"):
        return _wrong_token(message, said.answer)
    return ""


def _wrong_token(message: bytes, answer: bytes) -> str:
    """Whether a token is not for what the request named, or is for what no caller may request."""
    request = tokens_pb2.GetTokenRequest.FromString(message)
    if not all("!" <= char <= "~" for text in (request.key.audience, *request.key.scopes) for char in text):
        return "a token for an audience or scope with characters that none may have"
    token = tokens_pb2.GetTokenResponse.FromString(answer).token
    payload = token.access_token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if token.expire_time.seconds > claims["exp"] + SLACK:
        return "a token that is said to live longer than it does"
    asked = (request.key.audience, sorted(set(request.key.scopes)))
    got = (claims.get("aud") or "", sorted(str(claims.get("scope", "")).split()))
    return "" if asked == got else f"asked for {asked}, got {got}"
