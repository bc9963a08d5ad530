"""`mintonced check --mint CLIENT AUDIENCE` mints once, after a question, and says what was granted."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mintonce_server.core.secret import Secret
from support.commands import Ended, mintonced
from support.faulty_issuer import Fault, FaultyIssuer
from support.oidc_provider import AUDIENCE, OidcProvider
from support.topologies import single

pytestmark = pytest.mark.slow  # each starts a store and a program or two

SECRET = "the-secret-of-the-client"
POLICY = """
[[rules]]
name = "orders"
callers = ["spiffe://prod.example.com/orders"]
clients = ["a"]
audiences = ["https://api.example.com/"]
scopes = ["", "orders:read"]
"""


@dataclass
class Place:
    """A directory with settings that are fine."""

    directory: Path
    redis_url: str
    settings: dict[str, str] = field(default_factory=dict[str, str])

    def use(self, token_url: str, **more: str) -> None:
        secret = self.directory / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        self.settings = {
            "ISSUERS__I__TOKEN_URL": token_url,
            "CLIENTS__A__ISSUER": "i",
            "CLIENTS__A__CLIENT_ID": "a",
            "CLIENTS__A__CLIENT_SECRET_FILES": str(secret),
            "REDIS_URL": self.redis_url,
            **more,
        }

    async def check(self, *words: str) -> Ended:
        ended = await mintonced("check", *words, directory=self.directory, settings=self.settings)
        assert "Traceback" not in ended.out + ended.err
        assert SECRET not in ended.out + ended.err
        return ended


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with single(tmp_path / "redis") as topology:
        yield Place(tmp_path, topology.url)


@pytest.fixture
def practice() -> Iterator[FaultyIssuer]:
    with FaultyIssuer({"a": Secret(SECRET)}) as issuer:
        yield issuer


async def test_a_token_is_minted_once_and_described(place: Place, practice: FaultyIssuer) -> None:
    """Lifetime, claims, audience, scopes; neither the token nor its signature."""
    place.use(practice.token_url, ISSUERS__I__REQUEST="json")

    ended = await place.check("--mint", "a", AUDIENCE, "--scope", "orders:read", "--yes")

    assert ended.code == 0
    assert practice.posts == 1
    assert f"requested: {AUDIENCE}; granted: {AUDIENCE}" in ended.out
    assert "requested: orders:read; granted: orders:read" in ended.out
    assert "JWT; claims: {" in ended.out
    assert "none: every caller may have it" in ended.out
    assert not re.search(r"eyJ[\w-]+\.[\w-]+", ended.out + ended.err)


async def test_the_policy_says_who_may_have_it(place: Place, practice: FaultyIssuer) -> None:
    """Measured on what was granted."""
    policy = place.directory / "policy.toml"
    policy.touch(mode=0o600)
    policy.write_text(POLICY)
    place.use(practice.token_url, ISSUERS__I__REQUEST="json", POLICY_FILE=str(policy))

    allowed = await place.check("--mint", "a", AUDIENCE, "--yes")
    practice.fault = Fault(scope="admin")
    too_much = await place.check("--mint", "a", AUDIENCE, "--yes")

    assert "rule orders allows get, watch to spiffe://prod.example.com/orders" in allowed.out
    assert "no rule allows it to any caller" in too_much.out


async def test_a_refusal_shows_the_issuers_own_words(place: Place) -> None:
    """Exit code 1; npm oidc-provider explains itself."""
    with OidcProvider([("a", SECRET + "x", "client_secret_post")]) as provider:
        place.use(provider.token_url)
        ended = await place.check("--mint", "a", AUDIENCE, "--yes")
    assert ended.code == 1
    assert "the issuer says: client authentication failed" in ended.out
    assert "client_secret_files" in ended.out


async def test_an_audience_that_does_not_exist_is_tried_on_demand(place: Place) -> None:
    """This server refuses an unknown resource, and ignores an unknown `audience`."""
    with OidcProvider([("a", SECRET, "client_secret_post")]) as provider:
        place.use(provider.token_url)
        refused = await place.check("--mint", "a", AUDIENCE, "--unknown-audience", "--yes")
        place.use(provider.token_url, ISSUERS__I__AUDIENCE_PARAMETER="audience")
        ignored = await place.check("--mint", "a", AUDIENCE, "--unknown-audience", "--yes")
    assert "an audience that does not exist is refused: 127.0.0.1 answered 400 (invalid_target)" in refused.out
    assert "an audience that does not exist is ignored" in ignored.out


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--mint", "b", AUDIENCE, "--yes"), "no client is registered as b"),
        (("--mint", "a", AUDIENCE), "no terminal to ask at"),
        (("--mint", "a", "two  spaces", "--yes"), "audience is malformed"),
    ],
)
async def test_what_cannot_be_tried_says_why(
    place: Place, practice: FaultyIssuer, words: tuple[str, ...], what: str
) -> None:
    """Nothing is minted."""
    place.use(practice.token_url, ISSUERS__I__REQUEST="json")
    ended = await place.check(*words)
    assert ended.code == 1
    assert what in ended.err
    assert practice.posts == 0


@pytest.mark.parametrize(("answer", "posts"), [(b"y\n", 1), (b"\n", 0), (b"no\n", 0)])
async def test_it_asks_first(place: Place, practice: FaultyIssuer, answer: bytes, posts: int) -> None:
    """At a terminal; only yes is yes."""
    place.use(practice.token_url, ISSUERS__I__REQUEST="json")
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MINTONCE_")}
    environ |= {f"MINTONCE_{name}": value for name, value in place.settings.items()}
    os.write(ours, answer)
    done = subprocess.run(
        [sys.executable, "-m", "mintonce_server", "check", "--mint", "a", AUDIENCE],
        stdin=theirs,
        env=environ,
        cwd=place.directory,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert "This mints one token at issuer i" in done.stdout
    assert practice.posts == posts
    assert done.returncode == (0 if posts else 1)
