"""A practice issuer: a strict OAuth domain on this machine, whose POSTs can be counted. Never for production."""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from mintonce_dev.contract import TOKEN_PATH, TokenRequest, Verdict, judge
from mintonce_dev.faults import NONE, Fault, parse_fault
from mintonce_dev.practice_http import PracticeServer, Reply, error_reply
from mintonce_dev.practice_log import Post, PostLog
from mintonce_dev.practice_page import POLICY, render
from mintonce_dev.practice_token import practice_token
from mintonce_server.core.secret import Secret

LIFETIME: Final = 86_400.0
"""Seconds: what the product's first OAuth domain gives."""


class PracticeIssuer:
    """Speaks the OAuth domain's contract, and nothing else. A context manager; it serves from a thread of its own.

    Args:
        clients: the secret of each client_id.
        audiences: those that are registered; None for any.
        lifetime: seconds of a token.
        lifetimes: seconds by audience, in which `*` stands for anything; the first that fits counts before `lifetime`.
        log: file to append a JSON line to for each POST; the count goes on from what is in it.
        host: other than loopback only if you mean it: it speaks plain HTTP.
        faults: whether PUT /fault may make it misbehave. `fault` may always be set from within.
    """

    def __init__(
        self,
        clients: Mapping[str, Secret],
        audiences: frozenset[str] | None = None,
        lifetime: float = LIFETIME,
        log: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: bool = False,
        lifetimes: Mapping[str, float] | None = None,
    ) -> None:
        """Listens at once, and serves when entered. Raises OSError if the port or the log cannot be had."""
        self.lifetime = lifetime
        self.fault = NONE
        self._clients = clients
        self._audiences = audiences
        self._lifetimes = lifetimes or {}
        self._faults_of: dict[str, Fault] = {}
        self._latest: dict[str, tuple[str, str]] = {}
        self._faults = faults
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._log = PostLog(log)
        try:
            self._server = PracticeServer(host, port, self)
        except OSError:
            self._log.close()
            raise
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="practice-issuer")

    @property
    def url(self) -> str:
        """Its page for people, without the last slash."""
        host = self._server.server_name
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.server_port}"

    @property
    def token_url(self) -> str:
        """What to mint at."""
        return self.url + TOKEN_PATH

    @property
    def posts(self) -> int:
        """How many POSTs the token endpoint had, refused ones and those of earlier runs with the same log too."""
        return self._log.count

    @property
    def minted(self) -> int:
        """How many of them got a token."""
        return self._log.minted

    def log(self) -> list[Post]:
        """The posts, oldest first."""
        return self._log.last()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()  # those that hang
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()
        self._log.close()

    def token(self, request: TokenRequest) -> Reply | None:
        """POST /oauth/token; counted before it is answered."""
        verdict = judge(request, self._clients, self._audiences)
        fault = self._next_fault(verdict.audience)
        now = time.time()  # noqa: TID251 - it plays another machine, with a clock of its own
        lifetime = fault.lifetime(self._lifetime_of(verdict.audience))
        granted = verdict if fault.scope is None else replace(verdict, scope=fault.scope)
        token, jti = ("", "") if verdict.error or fault.is_failing else self._mint(granted, fault, now, lifetime)
        status = verdict.status if fault.status is None else fault.status
        self._log.add(Post(round(now, 3), verdict.client_id, verdict.audience, verdict.scope, status, jti))
        if fault.hang:
            self._stopping.wait()
        self._stopping.wait(fault.latency)
        if self._stopping.is_set():
            return None
        reply = _faulty(status, fault) if fault.is_failing else _answer(granted, token, lifetime, fault)
        return replace(
            reply,
            body=reply.body + b" " * fault.padding,
            headers={"Retry-After": fault.retry_after} if fault.retry_after else {},
            drip=fault.drip,
        )

    def other(self, method: str, path: str, body: bytes) -> Reply:
        """Everything else: a page, the posts, the fault switch."""
        if path == TOKEN_PATH:
            return replace(error_reply(405, "invalid_request", "use POST"), headers={"Allow": "POST"})
        if path == "/" and method in ("GET", "HEAD"):
            page = render(self._log.last(), count=self.posts, minted=self.minted, lifetime=self.lifetime)
            return Reply(200, page.encode(), "text/html; charset=utf-8", {"Content-Security-Policy": POLICY})
        if path == "/posts" and method in ("GET", "HEAD"):
            posts = [asdict(post) for post in self._log.last()]
            return Reply(200, json.dumps({"count": self.posts, "minted": self.minted, "posts": posts}).encode())
        if path == "/fault" and method == "PUT" and self._faults:
            return self._set_fault(body)
        return error_reply(404, "not_found", f"there is only POST {TOKEN_PATH}, GET / and GET /posts")

    def _set_fault(self, body: bytes) -> Reply:
        try:
            fault = parse_fault(body)
        except ValueError as error:
            return error_reply(400, "invalid_request", str(error))
        with self._lock:
            self._change_fault(fault.audience, fault)
        return Reply(200, json.dumps(asdict(fault)).encode())

    def _lifetime_of(self, audience: str) -> float:
        fitting = (seconds for pattern, seconds in self._lifetimes.items() if fnmatchcase(audience, pattern))
        return next(fitting, self.lifetime)

    def _mint(self, verdict: Verdict, fault: Fault, now: float, lifetime: float) -> tuple[str, str]:
        with self._lock:
            if fault.repeat and (latest := self._latest.get(verdict.audience)):
                return latest
            minted = self._latest[verdict.audience] = practice_token(verdict, self.url + "/", now, lifetime)
            return minted

    def _next_fault(self, audience: str) -> Fault:
        """That of the audience, before that of all."""
        with self._lock:
            pattern = next((pattern for pattern in self._faults_of if fnmatchcase(audience, pattern)), None)
            fault = self.fault if pattern is None else self._faults_of[pattern]
            if fault.times is not None:
                left = replace(fault, times=fault.times - 1) if fault.times > 1 else replace(NONE, audience=pattern)
                self._change_fault(pattern, left)
            return fault

    def _change_fault(self, pattern: str | None, fault: Fault) -> None:
        if pattern is None:
            self.fault = fault
        elif fault == replace(NONE, audience=fault.audience):
            self._faults_of.pop(pattern, None)
        else:
            self._faults_of[pattern] = fault


def _answer(verdict: Verdict, token: str, lifetime: float, fault: Fault) -> Reply:
    if verdict.error:
        return error_reply(verdict.status, verdict.error, verdict.description)
    answer: dict[str, object] = {"access_token": token, "token_type": "Bearer"}
    if verdict.scope:
        answer["scope"] = verdict.scope
    stated = fault.expires_in
    if stated is None:
        stated = json.dumps(int(lifetime) if lifetime.is_integer() else lifetime)
    # Put in as text: what is no JSON (NaN) can be practised too.
    end = f', "expires_in": {stated}}}' if stated else "}"
    return Reply(200, (json.dumps(answer)[:-1] + end).encode())


def _faulty(status: int, fault: Fault) -> Reply:
    return Reply(status, (fault.body or "").encode())


def run(
    *,
    clients: Mapping[str, Secret],
    audiences: frozenset[str] | None = None,
    lifetime: float = LIFETIME,
    log: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    faults: bool = False,
    lifetimes: Mapping[str, float] | None = None,
    ready: Callable[[PracticeIssuer], None] | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM. `ready` is called once it listens. Only from the main thread."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    with PracticeIssuer(clients, audiences, lifetime, log, host, port, faults, lifetimes) as issuer:
        if ready is not None:
            ready(issuer)
        stop.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """The command. The secret comes from a file: arguments can be seen by others on the machine."""
    options = _parser().parse_args(argv)
    try:
        secret = Secret(options.secret_file.read_text(encoding="utf-8").strip())
        run(
            clients={options.client_id: secret},
            audiences=frozenset(options.audience) or None,
            lifetime=options.lifetime,
            lifetimes=dict(options.lifetime_of),
            log=options.log,
            host=options.host,
            port=options.port,
            faults=options.faults,
            ready=lambda issuer: _say(f"practice issuer: {issuer.token_url} (its page: {issuer.url}/)"),
        )
    except OSError as error:  # the secret file, the log, or the port: the text names which
        sys.stderr.write(f"practice issuer: {error}\n")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _lifetime_of(text: str) -> tuple[str, float]:
    audience, _, seconds = text.rpartition("=")
    return audience, float(seconds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mintonced practice-issuer", description=__doc__)
    parser.add_argument("--client-id", default="practice-client", help="the one client (default: %(default)s)")
    parser.add_argument("--secret-file", type=Path, required=True, help="file with its secret")
    parser.add_argument("--audience", action="append", default=[], help="a registered audience; repeat it; none: any")
    parser.add_argument("--lifetime", type=float, default=LIFETIME, help="seconds of a token (default: %(default)g)")
    parser.add_argument(
        "--lifetime-of",
        type=_lifetime_of,
        action="append",
        default=[],
        metavar="AUDIENCE=SECONDS",
        help="of this audience's tokens; * stands for anything; repeat it",
    )
    parser.add_argument("--log", type=Path, help="append a JSON line for each POST; the count goes on from it")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; it speaks plain HTTP")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument("--faults", action="store_true", help="let PUT /fault make it misbehave, for tests")
    return parser


if __name__ == "__main__":
    sys.exit(main())
