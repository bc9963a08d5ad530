"""The issuer says no: the whole fleet sends nothing for as long as it asked, also replicas that start meanwhile."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from email.utils import formatdate
from pathlib import Path

import pytest

from mintonce import Refused, Token
from support.asking import Served, asking, start
from support.eventually import eventually
from support.faulty_issuer import Fault, FaultyIssuer
from support.surroundings import posts
from support.waiting import wait_until

AUDIENCE = "https://api.example.com/"
OTHER = "https://other.example.com/"
MENDED_WITHIN = 10.0
"""Seconds. The promise is two seconds; a busy machine may take longer."""
BACK_OFF = 2.0
MILLISECOND = 0.001
"""To which the issuer's log rounds."""


def in_seconds(_: float) -> str:
    return f"{BACK_OFF:.0f}"


def as_a_date(now: float) -> str:
    return formatdate(now + BACK_OFF + 1.0, usegmt=True)  # a date has no fractions: a second for those


@pytest.mark.slow
@pytest.mark.parametrize("form", [in_seconds, as_a_date])
async def test_retry_after_is_kept_by_three_replicas_and_by_who_starts_meanwhile(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer, form: Callable[[float], str]
) -> None:
    """However often callers ask: the second POST comes when its time has come, and not before."""
    async with AsyncExitStack() as stack:
        fleet = await start(stack, tmp_path, settings, 3)
        issuer.fault = Fault(status=429, retry_after=form(time.time()), times=1)
        async with asking(fleet, AUDIENCE, timeout=2.0) as answers:
            await wait_until(lambda: len(answers) >= 3)
            fresh = await start(stack, tmp_path, settings, 1)
            told = await fresh[0].ask(AUDIENCE, timeout=2.0)
            await wait_until(lambda: answers[-1].token, timeout=BACK_OFF + 15.0)
            token = await fresh[0].get(AUDIENCE)
    first, second = (post["time"] for post in posts(tmp_path / "posts.jsonl"))
    assert second - first > BACK_OFF - MILLISECOND
    reasons = {answer.error.reason for answer in answers if answer.error}
    assert reasons == {"ISSUER_THROTTLED"}
    # A busy machine may take longer to start it than the back-off lasts.
    assert told.token or (told.error and told.error.reason == "ISSUER_THROTTLED")
    assert {answer.token.access_token for answer in answers if answer.token} == {token.access_token}


@pytest.mark.slow
async def test_a_new_credential_version_ends_what_was_refused_to_the_old_secret(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer
) -> None:
    """The refusal holds for 30 s for replicas with the old secret, and not at all for the first with the new one."""
    wrong = settings | {"CLIENT_SECRET": "a secret that was revoked"}
    new = settings | {"CLIENTS__DEFAULT__CREDENTIAL_VERSION": "2"}
    async with AsyncExitStack() as stack:
        old: list[Served] = await start(stack, tmp_path, wrong, 2)
        for served in old:
            with pytest.raises(Refused) as caught:
                await served.get(AUDIENCE)
            assert caught.value.reason == "ISSUER_REFUSED"
        assert issuer.posts == 1
        (mended,) = await start(stack, tmp_path, new, 1)
        token = await mended.get(AUDIENCE)
        shared: list[Token] = await asyncio.gather(*(served.get(AUDIENCE) for served in old))
    assert {each.access_token for each in shared} == {token.access_token}
    assert issuer.posts == 2


async def test_an_issuer_that_hands_out_the_rejected_token_again_stands_by_it(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer
) -> None:
    """No call fails: the token is served on, marked degraded, and the issuer is not asked in a loop."""
    async with AsyncExitStack() as stack:
        fleet = await start(stack, tmp_path, settings, 2)
        rejected = await fleet[0].get(AUDIENCE)
        issuer.fault = Fault(repeat=True)
        assert await fleet[0].client.reject("default", AUDIENCE, token=rejected)
        async with asking(fleet, AUDIENCE, timeout=2.0) as answers:
            await wait_until(lambda: len(answers) > 50, timeout=15.0)
    assert [answer.error for answer in answers if answer.error] == []
    served = {(answer.token.access_token, answer.token.degraded) for answer in answers if answer.token}
    assert served == {(rejected.access_token, True)}
    assert issuer.posts == 2


@pytest.mark.slow
async def test_a_mended_secret_works_within_seconds_at_every_replica(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer
) -> None:
    """Broken at both, mended at one and then at the other; refused once for each secret, however often callers ask."""
    right = settings["CLIENT_SECRET"]
    without = {name: value for name, value in settings.items() if name != "CLIENT_SECRET"}
    files = [tmp_path / "secret-a", tmp_path / "secret-b"]
    async with AsyncExitStack() as stack:
        fleet: list[Served] = []
        for file in files:
            write_secret(file, "a secret that was revoked")
            fleet += await start(stack, tmp_path, without | {"CLIENT_SECRET_FILES": str(file)}, 1)
        for served in fleet * 3:
            with pytest.raises(Refused):
                await served.get(AUDIENCE)
        assert issuer.posts == 1
        write_secret(files[0], right)
        await eventually(lambda: fleet[0].ask(AUDIENCE), lambda answer: answer.token, within=MENDED_WITHIN)
        assert issuer.posts == 2
        assert (await fleet[1].get(AUDIENCE)).access_token == (await fleet[0].get(AUDIENCE)).access_token
        with pytest.raises(Refused):
            await fleet[1].get(OTHER)
        write_secret(files[1], right)
        await eventually(lambda: fleet[1].ask(OTHER), lambda answer: answer.token, within=MENDED_WITHIN)
    assert issuer.posts == 4


def write_secret(file: Path, text: str) -> None:
    """As an operator should: the file is never half a secret."""
    beside = file.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_text(text)
    beside.rename(file)
