"""What is tried with the SDKs, all of them at the same time, and what should be seen."""

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from interop.rows import Row
from interop.sdks.asking import Asker, Said, ask_all, keep_asking
from interop.sdks.lab import BRIEF, LIFETIME, MOMENT, REPLICAS, Lab
from interop.sdks.subjects import HALF, Sdk

LAST_TOKEN_BEFORE_END: Final = 4.0
"""Seconds before a token's end until which it must be served in an outage. The endpoint gives none of less than two."""
AFTER_END: Final = 6.0
USUAL_MARGIN: Final = 10
MOST_REQUESTS: Final = 8
"""In SHORT_SECONDS, of an SDK with no more than that margin."""
SHORT_SECONDS: Final = 85.0
LIVE_WITHIN: Final = 1.0
FEW: Final = 0.1
"""Of the asks: on a busy machine some take longer. Who waits for the issuer does so with each request."""
WAITED: Final = 3.5
"""Seconds. The endpoint's deadline is 4."""
COLD_WITHIN: Final = 8.0
"""The endpoint answers within 4 s; a program on a busy machine needs some, too. Who gives up before says so."""
GAVE_UP: Final = re.compile(r"time.?out|timed.?out", re.IGNORECASE)
ENVOY_ASKS_FOR: Final = 5.0
"""Seconds: the timeout in its configuration."""
SHOWN: Final = 130
"""Characters of an error."""
SLACK: Final = 1.0
"""Seconds: a program and the machine need some, too."""

Trial = Callable[[Lab, Sequence[Sdk]], AsyncIterator[Row]]


def shown(said: Said) -> str:
    """The beginning of what the user of the SDK sees: enough to know what it is like."""
    return said.error if len(said.error) <= SHOWN else f"{said.error[:SHOWN]}…"


def row(sdk: Sdk, feature: str, faults: Sequence[str], note: str = "") -> Row:
    """It works if there is no fault. The note says what was seen, or the faults."""
    return Row(sdk.name, sdk.version, feature, "fails" if faults else "works", "; ".join(faults)[:600] or note)


async def together(lab: Lab, sdks: Sequence[Sdk]) -> AsyncIterator[Row]:
    """Everybody gets the same token from two replicas, and the issuer sees one POST for each key."""
    feature = "the fleet's token, 1 POST"
    async with lab.running(sdks, "together") as askers:
        for _ in range(3):
            await ask_all(askers)
    keys = {asker.sdk.scope for asker in askers if asker.tokens}
    current = {scope: await lab.current("together", scope.split()) for scope in keys}
    posts = {asker.sdk.scope: len(lab.posts("together", asker.sdk.scope)) for asker in askers}
    for asker in askers:
        scope = asker.sdk.scope
        others = {said.sha256 for said in asker.tokens} - {current.get(scope)}
        wrong = [f"{len(others)} tokens that the fleet does not have"] if others else []
        wrong += [f"{posts[scope]} POSTs"] if posts[scope] > 1 else []
        wrong += sorted({said.error for said in asker.errors})
        key = "a key of its own: it asks for a scope" if scope else "one key for all without a scope"
        yield row(asker.sdk, feature, wrong, f"{REPLICAS} replicas, {posts[scope]} POST for the key; {key}")


async def short(lab: Lab, sdks: Sequence[Sdk]) -> AsyncIterator[Row]:
    """Tokens of 40 s, asked for every half second: no error, no old token; few requests from those that keep one."""
    feature = f"{LIFETIME:g} s tokens for {SHORT_SECONDS:g} s"
    async with lab.running(sdks, "short") as askers:
        await keep_asking(askers, SHORT_SECONDS)
    for asker in askers:
        count = len(lab.requests(asker.sdk, "short"))
        wrong = _faults(asker) + _old_tokens(asker, askers)
        if asker.sdk.margin is not None and 0 <= asker.sdk.margin <= USUAL_MARGIN and count > MOST_REQUESTS:
            wrong.append(f"{count} requests")
        yield row(asker.sdk, feature, wrong, f"{_habit(asker.sdk)}: {_requests(count)} for {len(asker.said)} asks")


async def rotated(lab: Lab, sdks: Sequence[Sdk]) -> AsyncIterator[Row]:
    """After `mintonce rotate` it has another token at its next request, at the latest when the old one ends."""
    feature = "mintonce rotate"
    async with lab.running(sdks, "rotated") as askers:
        await ask_all(askers)
        old = {asker.sdk: asker.said[-1].sha256 for asker in askers}
        for scope in {asker.sdk.scope for asker in askers}:
            await lab.rotate("rotated", scope.split())
        await keep_asking(askers, LIFETIME + AFTER_END)
    for asker in askers:
        wrong = _faults(asker) + _old_tokens(asker, askers)
        later = [number for number, said in enumerate(asker.said) if said.sha256 != old[asker.sdk]]
        wrong += [] if later else ["it has the old token still"]
        seconds = asker.said[later[0]].at - asker.said[0].at if later else 0.0
        when = "at its next ask" if later and later[0] == 1 else f"{seconds:.0f} s later"
        yield row(asker.sdk, feature, wrong, f"the new token {when}")


async def denied(lab: Lab, sdks: Sequence[Sdk]) -> AsyncIterator[Row]:
    """No rule of the policy gives it the client: it says so, and shows no secret."""
    async with lab.running(sdks, "denied") as askers:
        await ask_all(askers)
        await ask_all(askers)  # the first one may say that a busy machine was too slow for it
    for asker in askers:
        wrong = ["it got a token"] if asker.tokens else []
        wrong += ["its error shows the secret"] if any(said.leak for said in asker.errors) else []
        # Whatever its text is: it must be the denial that it shows, and not some other trouble.
        reasons = {line["reason"] for line in lab.requests(asker.sdk, "denied")}
        wrong += [] if reasons == {"PERMISSION_DENIED"} else [f"{sorted(reasons)}: {asker.said[-1].error}"]
        yield row(asker.sdk, "denial", wrong, shown(asker.said[-1]))


async def outage(lab: Lab, sdks: Sequence[Sdk]) -> AsyncIterator[Row]:
    """The issuer answers 500: the live token to its end, then an error; nobody asks more often than it is asked."""
    async with lab.running(sdks, "outage") as askers:
        await ask_all(askers)
        lab.set_fault("outage", status=500)
        await keep_asking(askers, LIFETIME + AFTER_END)
    lab.set_fault("outage")
    for asker in askers:
        sdk, said = asker.sdk, asker.said
        end = _end_of(asker.tokens[-1].sha256, askers) if asker.tokens else 0.0
        left = end - asker.tokens[-1].at if asker.tokens else math.inf
        wrong = [] if left <= LAST_TOKEN_BEFORE_END + SLACK else [f"no token for the last {left:.0f} s of its life"]
        wrong += _old_tokens(asker, askers)
        after = [each for each in said if each.at > end + SLACK and each.error]
        wrong += [] if after else ["no error after the token's end"]
        wrong += ["its error shows the secret"] if any(each.leak for each in asker.errors) else []
        count = len(lab.requests(sdk, "outage"))
        # x/oauth2 asks twice, where its first request had no answer that it likes.
        wrong += [f"{count} requests for {len(said)} asks"] if count > 2 * len(said) + 2 else []
        yield row(sdk, "outage of the issuer", wrong, shown(after[-1]) if after else "")


async def hang(lab: Lab, sdks: Sequence[Sdk]) -> AsyncIterator[Row]:
    """The issuer accepts and never answers: everybody has the live token at once, for as long as it lives."""
    async with lab.running(sdks, "hang") as askers:
        await ask_all(askers)
        lab.set_fault("hang", hang=True)
        minted = min(at for asker in askers for at in lab.posts("hang", asker.sdk.scope))
        await keep_asking(askers, minted + LIFETIME - LAST_TOKEN_BEFORE_END - time.time())
    for asker in askers:
        taken = sorted(said.seconds for said in asker.said[1:])
        slow = sum(seconds > LIVE_WITHIN for seconds in taken)
        wrong = _faults(asker)
        wrong += [f"{slow} of {len(taken)} asks took more than {LIVE_WITHIN:g} s"] if slow > len(taken) * FEW else []
        wrong += [f"{taken[-1]:.1f} s for an ask"] if taken[-1] > WAITED else []
        yield row(asker.sdk, "hanging issuer, live token", wrong)


async def cold(lab: Lab, sdks: Sequence[Sdk]) -> AsyncIterator[Row]:
    """The issuer never answers, and the last token has ended: an error before the SDK gives up by itself."""
    async with lab.running(sdks, "cold", own_audience=True) as askers:
        await ask_all(askers)  # so that the next ask is not the program's first: that one takes a second by itself
        lab.set_fault("cold", hang=True)
        await asyncio.sleep(MOMENT + SLACK)
        await ask_all(askers)
        proxies = [asker for asker in askers if asker.sdk.margin == HALF]
        if proxies:  # a proxy sends the ended token as long as its own request is under way
            await asyncio.sleep(ENVOY_ASKS_FOR)
            await ask_all(proxies)
    for asker in askers:
        said = asker.said[-1]
        most = COLD_WITHIN * (2 if asker.sdk.probes else 1)
        wrong = ["it got a token"] if said.sha256 else []
        wrong += [f"after {said.seconds:.1f} s"] if said.seconds > most else []
        wrong += [f"it gave up by itself: {said.error}"] if GAVE_UP.search(said.error) else []
        yield row(asker.sdk, "hanging issuer, no token", wrong, shown(said))


async def brief(lab: Lab, sdks: Sequence[Sdk]) -> AsyncIterator[Row]:
    """Envoy asks at half of `expires_in`: no loop, neither with tokens of 20 s nor in an outage."""
    healthy, failing = 3 * BRIEF, BRIEF + AFTER_END
    async with lab.running([sdk for sdk in sdks if sdk.margin == HALF], "brief") as askers:
        await keep_asking(askers, healthy)
        before = {asker.sdk: len(lab.requests(asker.sdk, "brief")) for asker in askers}
        posts, errors = len(lab.posts("brief")), {asker.sdk: len(asker.errors) for asker in askers}
        lab.set_fault("brief", status=500)
        await keep_asking(askers, failing)
    lab.set_fault("brief")
    # A token has half of its life left, or is replaced: two requests a token, and one more for the rounding.
    most = 3 * posts
    for asker in askers:
        first, all_ = before[asker.sdk], len(lab.requests(asker.sdk, "brief"))
        wrong = [f"{first} requests in {healthy:g} s, {posts} tokens"] if first > most else []
        wrong += [f"{all_ - first} requests in {failing:g} s of an outage"] if all_ - first > failing else []
        wrong += [f"{errors[asker.sdk]} errors before the outage"] if errors[asker.sdk] else []
        note = f"{first} requests in {healthy:g} s ({posts} tokens), {all_ - first} in {failing:g} s of an outage"
        yield row(asker.sdk, f"{BRIEF:g} s tokens, then an outage", wrong, note)


TRIALS: Final[Sequence[Trial]] = (together, short, rotated, denied, outage, hang, cold, brief)


def _faults(asker: Asker) -> list[str]:
    return sorted({said.error for said in asker.errors})


def _end_of(sha256: str, askers: Sequence[Asker]) -> float:
    """At the latest, in seconds since 1970: a lifetime after anybody had it first."""
    return min(said.at for asker in askers for said in asker.tokens if said.sha256 == sha256) + LIFETIME


def _old_tokens(asker: Asker, askers: Sequence[Asker]) -> list[str]:
    late = [said for said in asker.tokens if said.at > _end_of(said.sha256, askers) + SLACK]
    return [f"{len(late)} tokens that had ended"] if late else []


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"


def _habit(sdk: Sdk) -> str:
    if sdk.margin is None:
        return "keeps no token"
    if sdk.margin == HALF:
        return "asks at half of expires_in"
    return f"asks {sdk.margin:g} s before the end" if sdk.margin else "asks when the token has ended"
