"""Keys of a JWT issuer that are fetched from where it shows them."""

import asyncio
import gzip
import ssl
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mintonce_server.auth.identify import Identifier
from mintonce_server.auth.jwks import MAX_BYTES, JwksError, JwksUrl, Pace, trusting
from mintonce_server.auth.jwt import JwtIssuer
from mintonce_server.common.clock import SystemClock
from mintonce_server.core.errors import Unauthenticated
from mintonce_server.core.secret import Secret
from support.certificates import Authority
from support.clocks import ManualClock
from support.jwts import AUDIENCE, ISSUER, SUBJECT, Signer, claims
from support.waiting import wait_until

OLD, NEW = Signer("old", "ES256"), Signer("new", "ES256")
CLOCK = ManualClock()
QUICK = Pace(every=0.02, least=0.0, deadline=2.0)
ONLY_WHEN_ASKED = Pace(every=600.0, least=0.0, deadline=2.0)


@dataclass
class Shown:
    """What the issuer's URL answers, and how often it was asked."""

    body: bytes = field(default_factory=OLD.jwks)
    status: int = 200
    silent: bool = False
    bearer: str = ""
    asked: int = 0
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    """Of threads: asyncio's own TLS server leaves tasks behind when a peer hangs up in the handshake."""

    timeout = 10.0
    shown: Shown

    def do_GET(self) -> None:
        shown = self.shown
        shown.asked += 1
        if shown.silent:
            self.rfile.read(1)  # until the other side has had enough
            return
        # As the servers of all the large issuers do.
        zipped = "gzip" in self.headers.get("Accept-Encoding", "")
        body = gzip.compress(shown.body) if zipped else shown.body
        knows_us = not shown.bearer or self.headers.get_all("Authorization") == [f"Bearer {shown.bearer}"]
        self.send_response(401 if not knows_us else shown.status if self.path == "/keys" else 200)
        self.send_header("Content-Length", str(len(body)))
        if shown.status == 302:
            self.send_header("Location", "/elsewhere")
        if zipped:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with suppress(OSError):  # the peer may hang up at any time
            super().handle()

    def finish(self) -> None:
        with suppress(OSError):  # as above
            super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class Watched(JwksUrl):
    """Says when it is at work: httpx leaves its socket behind when it is stopped while it connects."""

    looking = False

    async def _look(self) -> bool:
        self.looking = True
        try:
            return await super()._look()
        finally:
            self.looking = False


class Source:
    """A JwksUrl that runs, and what it complained of."""

    def __init__(self, url: str, ca: Path | None, pace: Pace) -> None:
        """`ca`: None for the authorities of the operating system."""
        self.troubles: asyncio.Queue[JwksError] = asyncio.Queue()
        self.ca = ca
        self.bearer = "first"
        verify = lambda: trusting(self.ca.read_bytes() if self.ca else None)  # noqa: E731 - a function in one line
        bearer = lambda: Secret(self.bearer)  # noqa: E731 - a function in one line
        told = self.troubles.put_nowait
        self.keys = Watched(url, clock=SystemClock(), verify=verify, bearer=bearer, on_error=told, pace=pace)

    def identify(self, signer: Signer) -> str:
        issuer = JwtIssuer(
            name="k8s",
            issuer=ISSUER,
            audiences=frozenset({AUDIENCE}),
            algorithms=["ES256"],
            keys=self.keys,
            leeway=30.0,
        )
        known = Identifier(frozenset(), [issuer], lambda: None, CLOCK)
        return known.identify(None, [f"Bearer {signer.token(claims(CLOCK.unix()))}"]).name

    async def knows(self, *signers: Signer) -> None:
        """Waits until the keys are exactly these."""
        await wait_until(lambda: self._ids() == {signer.key.kid for signer in signers})

    def _ids(self) -> set[str | None]:
        try:
            return {key.kid for key in self.keys()}
        except JwksError:
            return set()


Running = Callable[[Pace], AbstractAsyncContextManager[Source]]


@pytest.fixture
def shown(authority: Authority) -> Generator[Shown]:
    shown, issued = Shown(), authority.server()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate, issued.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Of", (Handler,), {"shown": shown})) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        shown.url = f"https://127.0.0.1:{server.server_address[1]}/keys"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield shown
        finally:
            server.shutdown()
            thread.join(timeout=10)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def running(shown: Shown, authority: Authority) -> Running:
    @asynccontextmanager
    async def run(pace: Pace) -> AsyncGenerator[Source]:
        source = Source(shown.url, authority.ca, pace)
        task = asyncio.create_task(source.keys.run())
        try:
            yield source
        finally:
            await wait_until(lambda: not source.keys.looking)
            task.cancel()
            await asyncio.wait([task], timeout=5)

    return run


async def test_the_keys_come_by_themselves(running: Running) -> None:
    """Until they are here, callers are told to come again."""
    async with running(ONLY_WHEN_ASKED) as source:
        with pytest.raises(Unauthenticated) as caught:
            source.identify(OLD)
        assert caught.value.retry_after

        await source.knows(OLD)
        assert source.identify(OLD) == f"jwt:k8s:{SUBJECT}"


async def test_a_url_may_want_a_bearer(running: Running, shown: Shown) -> None:
    """As the API server of Kubernetes does. The bearer of that moment is sent, and a refused one is never shown."""
    shown.bearer = "second"
    async with running(QUICK) as source:
        refused = await asyncio.wait_for(source.troubles.get(), 5)
        assert "401" in str(refused)
        assert "jwks_bearer_file" in refused.remedy
        assert "first" not in f"{refused!r} {refused.remedy}"

        source.bearer = "second"
        await source.knows(OLD)


async def test_new_keys_are_found_in_time(running: Running, shown: Shown) -> None:
    """And what is not shown any more counts no more."""
    async with running(QUICK) as source:
        await source.knows(OLD)
        shown.body = NEW.jwks()
        await source.knows(NEW)

        assert source.identify(NEW)
        with pytest.raises(Unauthenticated):
            source.identify(OLD)


async def test_the_authorities_may_change(running: Running, shown: Shown, tmp_path: Path) -> None:
    """Each look trusts those of now."""
    (tmp_path / "other").mkdir()
    async with running(QUICK) as source:
        await source.knows(OLD)
        ours, source.ca = source.ca, Authority(tmp_path / "other").ca
        shown.body = NEW.jwks()
        assert "cannot be fetched" in str(await source.troubles.get())
        source.ca = ours
        await source.knows(NEW)


async def test_an_unknown_key_makes_it_look_at_once(running: Running, shown: Shown) -> None:
    """The caller is refused for now, and known soon."""
    async with running(ONLY_WHEN_ASKED) as source:
        await source.knows(OLD)
        shown.body = OLD.jwks(NEW)
        with pytest.raises(Unauthenticated):
            source.identify(NEW)

        await source.knows(OLD, NEW)
        assert source.identify(NEW)


async def test_callers_cannot_make_it_flood_the_issuer(running: Running, shown: Shown) -> None:
    """However many unknown keys they name, there is some time between two looks."""
    async with running(Pace(every=600.0, least=600.0, deadline=2.0)) as source:
        await source.knows(OLD)
        for number in range(50):
            with pytest.raises(Unauthenticated):
                source.identify(Signer(f"unknown-{number}", "ES256"))
            await asyncio.sleep(0)

        await asyncio.sleep(0.05)  # nothing to wait for: it is shown that nothing comes
        assert shown.asked == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"status": 500}, id="an error"),
        pytest.param({"status": 302}, id="a redirect"),
        pytest.param({"body": b"<html>"}, id="no key set"),
        pytest.param({"body": b'{"keys": []}'}, id="an empty set"),
        pytest.param({"body": b'{"keys": []' + b" " * MAX_BYTES + b"}"}, id="too large"),
        pytest.param({"silent": True}, id="no answer"),
    ],
)
async def test_old_keys_go_on_while_there_is_trouble(running: Running, shown: Shown, change: dict[str, object]) -> None:
    """It is reported; and what comes after it is seen."""
    async with running(Pace(every=0.02, least=0.01, deadline=0.5)) as source:
        await source.knows(OLD)
        before = {name: getattr(shown, name) for name in change}
        for name, value in change.items():
            setattr(shown, name, value)
        trouble = await asyncio.wait_for(source.troubles.get(), 10)
        assert trouble.remedy
        assert source.identify(OLD)

        for name, value in before.items():
            setattr(shown, name, value)
        shown.body = NEW.jwks()
        await source.knows(NEW)


async def test_after_trouble_it_looks_again_soon(running: Running, shown: Shown) -> None:
    """Not only when it would have looked if all had been well."""
    good, shown.body = shown.body, b""
    async with running(Pace(every=600.0, least=0.01, deadline=2.0)) as source:
        await asyncio.wait_for(source.troubles.get(), 10)
        shown.body = good
        await source.knows(OLD)


async def test_the_same_document_is_the_same_keys(running: Running, shown: Shown) -> None:
    """Or all that was verified would be verified again, each time."""
    async with running(QUICK) as source:
        await source.knows(OLD)
        keys = source.keys()
        asked = shown.asked
        await wait_until(lambda: shown.asked >= asked + 3)

        assert source.keys() is keys


async def test_a_server_of_another_authority_is_not_asked(shown: Shown, tmp_path: Path) -> None:
    """Otherwise a peer on the path could name the keys."""
    await _is_refused(Source(shown.url, Authority(tmp_path, "other").ca, QUICK))
    assert shown.asked == 0


async def test_a_variable_does_not_change_whom_we_trust(
    shown: Shown, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE does not replace the system's authorities: as for the token endpoint."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    await _is_refused(Source(shown.url, None, QUICK))
    assert shown.asked == 0


async def _is_refused(source: Source) -> None:
    task = asyncio.create_task(source.keys.run())
    trouble = await asyncio.wait_for(source.troubles.get(), 10)
    await wait_until(lambda: not source.keys.looking)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert "ConnectError" in str(trouble)


def test_authorities_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """At the start, by an error with a remedy."""
    broken = tmp_path / "ca.pem"
    broken.write_text("rubbish")
    for path in (broken, tmp_path / "missing.pem"):
        with pytest.raises(JwksError):
            JwksUrl("https://127.0.0.1/", clock=CLOCK, ca_file=str(path), on_error=lambda _: None)
