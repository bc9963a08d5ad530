"""The mint law: which POSTs of a key are explained, and by what."""

from dataclasses import asdict, dataclass

from history.records import Call, Fault, Step
from history.story import Mint, Story

HELPLESS = ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED")
"""Statuses of a reject that certainly did nothing. After any other failure it may have taken effect."""
LEAST_LIFE = 1.0
"""Seconds: tokens that live no longer are given away and not stored."""


@dataclass(frozen=True, slots=True)
class Law:
    """How many POSTs each term explains.

    `outages`: while the store is out of reach each replica may mint once a lifetime; what it mints may be overtaken.
    `secrets`: mints with credentials that were replaced meanwhile.
    """

    generations: int
    crashes: int
    stalls: int
    fails: int
    rejected: int
    lossy: int
    outages: int
    secrets: int

    @property
    def bound(self) -> int:
        """The most POSTs allowed."""
        return sum(asdict(self).values())

    def __str__(self) -> str:
        return ", ".join(f"{count} by {term}" for term, count in asdict(self).items() if count) or "none"


def law(story: Story) -> Law:
    """What this key may cost."""
    return Law(
        generations=len(generations(story)),
        crashes=sum(explained_by(story, fault) for fault in story.faults if fault.crash),
        stalls=sum(explained_by(story, fault) for fault in story.faults if fault.stall),
        fails=fails(story),
        rejected=2 * len(rejected(story)),
        lossy=2 * sum(fault.lossy for fault in story.faults),
        outages=sum(outage_cost(story, fault) for fault in story.outages()),
        secrets=sum(step.detail == "OLD_CREDENTIALS" for step in story.of("commit_refused")),
    )


def generations(story: Story) -> set[int]:
    """That came to be: a replica committed them, adopted them, wrote them back, or gave them to a caller.

    A token counts once: not under a provisional number too, and not again when the issuer only repeated it.
    """
    stored = {step.generation for step in story.of("committed", "adopted", "restored")}
    numbers = {story.number(generation) for generation in stored | {call.generation for call in story.got}}
    again = {step.generation for step in story.of("issuer_reissued_rejected_token")}
    repeated = {post.repeats for post in story.posts if post.repeats}
    first: dict[str, int] = {}
    for number in sorted(numbers):
        jti = story.texts.get(number, "")
        if jti in repeated and first.setdefault(jti, number) != number:
            again.add(number)
    return numbers - again


def rejected(story: Story) -> set[int]:
    """Generations that were current when a caller rejected them, or may have been: the answer may be lost.

    By the store's numbers. One that never was cannot be rejected.
    """
    known = {mint.generation for mint in story.mints} | story.texts.keys()
    known |= {step.generation for step in story.of("committed", "adopted", "restored")}
    named = {call.generation for call in story.rejects() if _may_have_rejected(call)}
    return {story.number(generation) for generation in named & known}


def _may_have_rejected(call: Call) -> bool:
    return call.was_current is not False if call.ok else call.status not in HELPLESS


def explained_by(story: Story, fault: Fault) -> int:
    """1 if the crash or stall caught its replica in the middle of a mint of this key, or may have; else 0.

    That of a store server is an outage, and counted as one.
    """
    return int(any(mint.replica == fault.target and _caught(story, mint, fault) for mint in story.mints))


def _caught(story: Story, mint: Mint, fault: Fault) -> bool:
    if fault.crash and mint.ended is not None:
        return False
    bounds = story.bounds
    # A mint without an end in the log lasted no longer than a POST may.
    ended = mint.began + bounds.mint if mint.ended is None else mint.ended
    return fault.overlaps(mint.began - bounds.slack, ended + bounds.slack)


def outage_cost(story: Story, outage: Fault) -> int:
    """Each replica that is cut off mints at most once a lifetime. A loss of writes alone cuts no replica off."""
    if outage.lossy and not (outage.outage or outage.crash or outage.stall):
        return 0
    replicas = 1 if outage.target in story.replicas else max(len(story.replicas), 1)
    lifetime = shortest_life(story)
    lasted = min(outage.ended, max((post.time for post in story.posts), default=outage.began)) - outage.began
    return replicas * (1 + (int(max(lasted, 0.0) / lifetime) if lifetime else 0))


def shortest_life(story: Story) -> float:
    """Of the tokens of this key that were long enough to be stored, in seconds; 0 if none is known."""
    return min((life for life in story.lives if life > LEAST_LIFE), default=0.0)


def fails(story: Story) -> int:
    """POSTs that brought no token, by the issuer's log or (it came too late, or unreadable) by the replica's."""
    tokenless = [post.time for post in story.posts if not post.jti]
    count = len(tokenless)
    for step in story.of("mint_failed"):
        began = start_of(story, step) - story.bounds.clock
        same = next((time for time in tokenless if began <= time <= step.time + story.bounds.clock), None)
        if same is None:
            count += 1
        else:
            tokenless.remove(same)
    given_away = {step.generation for step in story.of("minted") if (step.lifetime or 2 * LEAST_LIFE) <= LEAST_LIFE}
    return count + len(given_away - generations(story))


def start_of(story: Story, step: Step) -> float:
    """When the mint of this outcome began."""
    starts = [mint.began for mint in story.mints if (mint.replica, mint.generation) == (step.replica, step.generation)]
    return starts[0] if starts else step.time - story.bounds.mint
