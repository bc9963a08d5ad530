"""Bodies and heads of every kind at the token endpoint: only the answers of our table, and the server lives."""

import base64
import json
import re
import socket
import time
from typing import Any, Final, cast
from urllib.parse import urlencode

from attack.arena import Arena
from attack.exploring import explore
from attack.figures import Figures
from attack.fuzz_calls import Logs
from attack.hostile import AUTHORIZATIONS, LIKELY, TEXTS
from attack.wire import SLACK
from hypothesis import strategies as st

STATUSES: Final = frozenset({200, 400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 502, 503})
"""500 is none of them: it would be a fault of ours."""
CODES: Final = frozenset(
    {
        *("invalid_request", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"),
        *("invalid_target", "server_error", "temporarily_unavailable"),
    }
)
DESCRIPTIVE: Final = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{0,500}")
FORM: Final = "application/x-www-form-urlencoded"
NAMES: Final = (
    *("grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "audience", "resource"),
    *("scope", "token", "organization", "x", ""),
)
WAIT: Final = 0.25
"""Seconds without an answer after which a connection only waits for more."""

_VALUES = TEXTS | st.none() | st.integers() | st.floats() | st.lists(TEXTS, max_size=3) | st.just({"a": 1})
_USUAL = st.fixed_dictionaries({"grant_type": st.just("client_credentials"), "client_id": st.just("default")})
_LIKELY = st.dictionaries(st.sampled_from(["audience", "scope", "x"]), st.sampled_from(LIKELY), max_size=3)
_ODD = st.dictionaries(st.sampled_from(NAMES) | TEXTS, _VALUES, max_size=4)


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Any]:
    """Usual ones, and others that are likely or odd."""
    return {**draw(_USUAL), **draw(st.one_of(_LIKELY, _ODD))}


LINES: Final = (
    b"POST /oauth/token HTTP/1.1", b"POST /token HTTP/1.0", b"GET /oauth/token HTTP/1.1", b"POST / HTTP/1.1",
    b"POST http://x/oauth/token HTTP/1.1", b"PRI * HTTP/2.0", b"POST /oauth/token?x=y HTTP/1.1", b"\x16\x03\x01",
    b"POST /oauth/token HTTP/1.1 ", b"OPTIONS * HTTP/1.1", b"CONNECT x:1 HTTP/1.1", b"POST /oauth/token",
)  # fmt: skip
HEADERS: Final = (
    b"Host: localhost", b"Host: a, b", b"Content-Length: 5", b"Content-Length: +5", b"Content-Length: 99999999999",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding : chunked", b" folded: x",
    b"Content-Type: application/json", b"Content-Type: application/x-www-form-urlencoded", b"Connection: close",
    b"Connection: Upgrade", b"Upgrade: h2c", b"Upgrade: websocket", b"Expect: 100-continue", b"Authorization: Bearer x",
    b"Authorization: Basic eDp5", b"Origin: null", b"X: " + b"a" * 9000, b"X\0: y", b"X: \xff\x00", b"DPoP: x", b":",
    b"", b"Content-Encoding: gzip", b"Trailer: Host", b"X-Request-Id: " + b"a" * 300, b"traceparent: 00-zz-zz-00",
)  # fmt: skip
BODIES: Final = (
    b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"5;x=y\r\nhello\r\n0\r\nHost: z\r\n\r\n", b"ffffffffffffffff\r\n",
    b"-1\r\n", b"grant_type=client_credentials&client_id=default", b"{" * 5000,
    b"POST /oauth/token HTTP/1.1\r\nHost: x\r\n\r\n",
)  # fmt: skip


@st.composite
def raw_requests(draw: st.DrawFn) -> bytes:
    """Lines in any order, some bytes changed."""
    end = draw(st.sampled_from([b"\r\n"] * 20 + [b"\n", b"\r"]))
    body = draw(st.sampled_from(BODIES) | st.just(BODIES[-2]))
    usual = [b"Host: localhost", b"Connection: close", HEADERS[10], b"Content-Length: %d" % len(body)]
    lines = draw(st.lists(st.sampled_from(usual), min_size=3, max_size=4, unique=True) | st.just(usual))
    lines += draw(st.lists(st.sampled_from(HEADERS), max_size=1))
    data = bytearray(end.join([draw(st.sampled_from(LINES[:1] * 9 + LINES)), *lines, b"", b""]) + body)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(data)


BODY_SHOTS = st.tuples(
    parameters(), st.sampled_from([FORM, "application/json"]), st.none() | st.none() | st.none() | AUTHORIZATIONS
)


async def fuzz_bodies(arena: Arena, examples: int, seed: int) -> Figures:
    """By a caller who is let in, or shows something strange instead."""
    figures, logs = Figures("bodies of token requests"), Logs(arena)

    def check(shot: tuple[dict[str, Any], str, str | None]) -> None:
        sent_parameters, kind, authorization = shot
        if authorization is None and "client_secret" not in sent_parameters:
            authorization = f"Bearer {arena.attacker}"
        body = _body(sent_parameters, kind)
        lines = [
            "POST /oauth/token HTTP/1.1",
            "Host: localhost",
            "Connection: close",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            *([f"Authorization: {authorization}"] if authorization else []),
        ]
        sent = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
        answered = _exchange(arena, sent, wait=10.0)
        statuses, wrong = _read(answered, sent_parameters)
        figures.saw(" ".join(map(str, statuses)) or "nothing", wrong if len(statuses) == 1 else "no answer, or several")

    await explore(figures, BODY_SHOTS, check, examples, seed)
    figures.broken.update(logs.broken())
    return figures


async def fuzz_heads(arena: Arena, examples: int, seed: int) -> Figures:
    """Bytes that are nearly HTTP."""
    figures, logs = Figures("heads of HTTP requests"), Logs(arena)

    def check(sent: bytes) -> None:
        statuses, wrong = _read(_exchange(arena, sent, WAIT), {})
        figures.saw(" ".join(map(str, statuses)) or "nothing", wrong)

    await explore(figures, raw_requests(), check, examples, seed)
    figures.broken.update(logs.broken())
    return figures


def _body(parameters: dict[str, Any], kind: str) -> bytes:
    if kind == FORM:
        texts = {name: value for name, value in parameters.items() if isinstance(value, str)}
        return urlencode(texts, errors="surrogatepass").encode()
    return json.dumps(parameters).encode()


def _exchange(arena: Arena, sent: bytes, wait: float) -> bytes:
    """What came back until the server closed the connection, or waits for more."""
    host, port = arena.door
    with socket.create_connection((host, port), timeout=5.0) as connection:
        connection.sendall(sent)
        connection.settimeout(wait)
        answered = b""
        try:
            while data := connection.recv(65536):
                answered += data
        except (TimeoutError, ConnectionError):
            pass
        return answered


def _read(answered: bytes, asked: dict[str, Any]) -> tuple[list[int], str]:
    """The statuses of the answers, and what is wrong with one of them, "" if nothing is."""
    statuses, wrong = list[int](), ""
    while answered and not wrong:
        head, separator, rest = answered.partition(b"\r\n\r\n")
        if not separator or not head.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")):
            return statuses, "something that is no answer"
        status = int(head[9:12])
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or b"0")
        body, answered = rest[:length], rest[length:]
        if status != 100:
            statuses.append(status)
            wrong = _wrong_answer(status, body, asked)
    return statuses, wrong


def _wrong_answer(status: int, body: bytes, asked: dict[str, Any]) -> str:
    if status not in STATUSES:
        return f"status {status}"
    try:
        said = json.loads(body)
    except ValueError:
        return f"a {status} whose body is no JSON"
    if status != 200:
        proper = said["error"] in CODES and DESCRIPTIVE.fullmatch(said["error_description"])
        return "" if proper else f"a {status} that says {said}"[:200]
    return _wrong_token(said, asked)


def _wrong_token(said: dict[str, Any], asked: dict[str, Any]) -> str:
    """Whether it is not what was asked for, or is said to live longer than it does."""
    payload = said["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if type(said["expires_in"]) is not int or not 2 <= said["expires_in"] <= claims["exp"] - time.time() + SLACK:
        return f"a token with expires_in {said['expires_in']}"
    scope: Any = asked.get("scope") or ""
    scopes: list[object] = cast("list[object]", scope) if isinstance(scope, list) else [scope]
    wanted = (
        asked.get("audience") or asked.get("resource") or "",
        sorted(set(" ".join(map(str, scopes)).split(" ")) - {""}),
    )
    got = (claims.get("aud") or "", sorted(str(claims.get("scope", "")).split()))
    return "" if wanted == got else f"asked for {wanted}, got {got}"
