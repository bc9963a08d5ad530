"""A key server whose TLS breaks is one that does not answer: at the start, and when an unknown key makes us look."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from mintonce_server.auth.jwks import JwksError, JwksUrl, Pace
from mintonce_server.auth.jwt import JwtIssuer
from mintonce_server.common.clock import SystemClock
from mintonce_server.core.errors import Unauthenticated
from support.broken_tls import BREAKS, broken_tls
from support.clocks import ManualClock
from support.jwts import AUDIENCE, ISSUER, Signer, claims
from support.tls import Authority
from support.waiting import wait_until

OLD, NEW = Signer("old", "ES256"), Signer("new", "ES256")
CLOCK = ManualClock()
ONLY_WHEN_ASKED = Pace(every=600.0, least=0.0, deadline=1.0)


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
    """The keys from a URL, the callers that they prove, and what went wrong."""

    def __init__(self, url: str, ca: Path) -> None:
        self.troubles: list[JwksError] = []
        self.keys = Watched(
            url, clock=SystemClock(), ca_file=str(ca), on_error=self.troubles.append, pace=ONLY_WHEN_ASKED
        )
        self._issuer = JwtIssuer(
            name="k8s",
            issuer=ISSUER,
            audiences=frozenset({AUDIENCE}),
            algorithms=["ES256"],
            keys=self.keys,
            leeway=30.0,
        )

    def proves(self, signer: Signer) -> bool:
        """Whether the signer's JWT is taken. A key that is unknown makes the source look."""
        with suppress(Unauthenticated):
            return bool(self._issuer.caller(signer.token(claims(CLOCK.unix())), CLOCK))
        return False


@pytest.mark.parametrize("kind", BREAKS)
async def test_broken_tls_leaves_the_keys_as_they_were(tmp_path: Path, kind: str) -> None:
    """None at the start, the former ones later; and the next look takes what is right."""
    authority = Authority(tmp_path)
    async with broken_tls(authority.server(), OLD.jwks()) as peer:
        peer.breaks = BREAKS[kind]
        source = Source(peer.url, authority.ca)
        running = asyncio.create_task(source.keys.run())
        await wait_until(lambda: source.troubles)
        assert not source.proves(OLD)
        peer.breaks = None
        await wait_until(lambda: source.proves(OLD))

        peer.breaks, known = BREAKS[kind], len(source.troubles)
        assert not source.proves(NEW)
        await wait_until(lambda: len(source.troubles) > known)
        assert source.proves(OLD)
        assert not running.done()
        await wait_until(lambda: not source.keys.looking and not source.keys._wanted.is_set())
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert all(str(error).isprintable() and len(str(error)) < 200 for error in source.troubles)
