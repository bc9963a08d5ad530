"""A practice issuer: a strict OAuth domain on this machine that counts POSTs. Not for production."""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from aiohttp import web

from mintonce_dev.contract import TOKEN_PATH, TokenRequest, Verdict, judge, practice_token
from mintonce_dev.practice_http import PracticeServer, error_reply, json_reply, read_beginning
from mintonce_dev.practice_log import POLICY, Post, PostLog, render
from mintonce_dev.practice_quota import PracticeQuota
from mintonce_server.common.arguments import port, positive_seconds
from mintonce_server.core.secret import Secret

LIFETIME: Final = 86_400.0
"""Seconds, as OAuth domains commonly issue tokens."""


class PracticeIssuer:
    """Implements the contract of the OAuth domain, and nothing else. A context manager; serves from its own thread.

    Args:
        clients: the secret of each client_id.
        audiences: the registered ones; None for any.
        lifetime: seconds of a token.
        lifetimes: seconds by audience, in which `*` is a wildcard; the first match takes precedence over `lifetime`.
        log: file to append a JSON line to for each POST; the count continues from its content.
        quota: of each client; None: there is none.
        host: use others than loopback with care: it serves plain HTTP.
    """

    def __init__(
        self,
        clients: Mapping[str, Secret],
        audiences: frozenset[str] | None = None,
        lifetime: float = LIFETIME,
        log: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        lifetimes: Mapping[str, float] | None = None,
        quota: PracticeQuota | None = None,
    ) -> None:
        """Listens at once, and serves when entered. Raises OSError if the port or the log is not available."""
        self.lifetime = lifetime
        self._clients = clients
        self._audiences = audiences
        self._lifetimes = lifetimes or {}
        self.quota = quota
        self._log = PostLog(log)
        try:
            self._server = PracticeServer(host, port, self.routes())
        except OSError:
            self._log.close()
            raise

    @property
    def url(self) -> str:
        """The URL of its page, without the trailing slash."""
        return self._server.url

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return self.url + TOKEN_PATH

    @property
    def posts(self) -> int:
        """POSTs to the token endpoint, including refused ones and those of earlier runs with the same log."""
        return self._log.count

    @property
    def minted(self) -> int:
        """POSTs that got a token."""
        return self._log.minted

    def log(self) -> list[Post]:
        """The posts, oldest first."""
        return self._log.last()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop()
        self._log.close()

    def routes(self) -> list[web.RouteDef]:
        """What it answers: the token endpoint, a page, and the POSTs."""
        return [web.post(TOKEN_PATH, self._post), web.get("/", self._page), web.get("/posts", self._posts)]

    async def token(self, request: TokenRequest) -> web.Response:
        """POST /oauth/token; counted before it is answered. It may await, but not block."""
        verdict = judge(request, self._clients, self._audiences)
        now, lifetime = self.now(), self.lifetime_of(verdict.audience)
        verdict, headers = self.within_quota(verdict, now)
        token, jti = ("", "") if verdict.error else practice_token(verdict, self.url + "/", now, lifetime)
        self.count(verdict, now, verdict.status, jti)
        return json_reply(verdict.status, answer(verdict, token, lifetime), headers)

    def within_quota(self, verdict: Verdict, now: float) -> tuple[Verdict, dict[str, str]]:
        """The verdict when the quota is considered, too, and the headers of the answer."""
        if verdict.error or self.quota is None:
            return verdict, {}
        granted, headers = self.quota.take(verdict.client_id, now)
        if not granted:
            verdict = replace(verdict, status=429, error="too_many_requests", description="the quota is used up")
        return verdict, headers

    def now(self) -> float:
        """Seconds since 1970. The issuer represents another machine, with a clock of its own."""
        return time.time()  # noqa: TID251 - as above

    def lifetime_of(self, audience: str) -> float:
        """Seconds that a token for this audience is valid."""
        matching = (seconds for pattern, seconds in self._lifetimes.items() if fnmatchcase(audience, pattern))
        return next(matching, self.lifetime)

    def count(self, verdict: Verdict, now: float, status: int, jti: str) -> None:
        """Record a POST."""
        self._log.add(Post(round(now, 3), verdict.client_id, verdict.audience, verdict.scope, status, jti))

    async def _post(self, request: web.Request) -> web.Response:
        if request.content_length is None:
            refusal = error_reply(411, "invalid_request", "send a Content-Length")
            refusal.force_close()
            return refusal
        return await self.token(TokenRequest(request.headers.get("Content-Type", ""), await read_beginning(request)))

    async def _page(self, request: web.Request) -> web.Response:
        page = render(self._log.last(), count=self.posts, minted=self.minted, lifetime=self.lifetime)
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": POLICY})

    async def _posts(self, request: web.Request) -> web.Response:
        posts = [asdict(post) for post in self._log.last()]
        return json_reply(200, {"count": self.posts, "minted": self.minted, "posts": posts})


def answer(verdict: Verdict, token: str, lifetime: float) -> dict[str, object]:
    """The token, or the error as in RFC 6749, section 5.2."""
    if verdict.error:
        return {"error": verdict.error, "error_description": verdict.description}
    fields: dict[str, object] = {"access_token": token, "token_type": "Bearer"}
    if verdict.scope:
        fields["scope"] = verdict.scope
    fields["expires_in"] = int(lifetime) if lifetime.is_integer() else lifetime
    return fields


def serve_until_signal(issuer: PracticeIssuer) -> None:
    """Print the URL and serve until SIGINT or SIGTERM. Only from the main thread."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    with issuer:
        sys.stdout.write(f"practice issuer: {issuer.token_url} (its page: {issuer.url}/)\n")
        sys.stdout.flush()
        stop.wait()


def main(argv: Sequence[str] | None = None, kind: type[PracticeIssuer] = PracticeIssuer) -> int:
    """The command. The secret is read from a file: other users of the machine can see arguments."""
    options = _parser().parse_args(argv)
    try:
        secret = Secret(options.secret_file.read_text(encoding="utf-8").strip())
        issuer = kind(
            clients={options.client_id: secret},
            audiences=frozenset(options.audience) or None,
            lifetime=options.lifetime,
            lifetimes=dict(options.lifetime_of),
            log=options.log,
            quota=PracticeQuota(options.quota_per_hour) if options.quota_per_hour is not None else None,
            host=options.host,
            port=options.port,
        )
        serve_until_signal(issuer)
    except OSError as error:  # the secret file, the log, or the port: the text says which
        sys.stderr.write(f"practice issuer: {error}\n")
        return 1
    return 0


def _lifetime_of(text: str) -> tuple[str, float]:
    audience, _, seconds = text.rpartition("=")
    return audience, positive_seconds(seconds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mintonced practice-issuer", description=__doc__)
    parser.add_argument("--client-id", default="practice-client", help="the only client (default: %(default)s)")
    parser.add_argument("--secret-file", type=Path, required=True, help="file that contains its secret")
    parser.add_argument(
        "--audience", action="append", default=[], help="a registered audience; may be repeated; default: any"
    )
    parser.add_argument(
        "--lifetime",
        type=positive_seconds,
        default=LIFETIME,
        help="seconds that a token is valid (default: %(default)g)",
    )
    parser.add_argument(
        "--lifetime-of",
        type=_lifetime_of,
        action="append",
        default=[],
        metavar="AUDIENCE=SECONDS",
        help="lifetime of this audience's tokens; * is a wildcard; may be repeated",
    )
    parser.add_argument(
        "--quota-per-hour", type=int, metavar="TOKENS", help="refuse more tokens than that in an hour; default: none"
    )
    parser.add_argument("--log", type=Path, help="append a JSON line for each POST; the count continues from it")
    parser.add_argument("--host", default="127.0.0.1", help="listen address; plain HTTP (default: %(default)s)")
    parser.add_argument("--port", type=port, default=0, help="listen port (default: any free port)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
