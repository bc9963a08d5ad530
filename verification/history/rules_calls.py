"""H4, H5, H9, H10, H17: what callers were given, and when."""

import math
from collections.abc import Iterator

from history.law import start_of
from history.records import Call, Fault, Violation
from history.story import Story

REPEATABLE = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "ABORTED")
"""Statuses after which a later try may help: they say when."""
SLIPS = ("INTERNAL", "UNKNOWN", "UNIMPLEMENTED", "DATA_LOSS")
"""Statuses that no fault excuses."""


def right_token(story: Story) -> Iterator[Violation]:
    """H4: every token was minted for this audience: it says so itself, and so does the issuer's log."""
    minted = {post.jti: post.time for post in story.posts if post.jti}
    for call in story.got:
        what = f"{story.audience}: {call.op} from {call.replica} at {call.ended:.3f} gave generation {call.generation}"
        if call.aud != story.audience:
            yield Violation("H4", f"{what}, a token for {call.aud or 'no audience'}")
        elif call.jti not in minted:
            yield Violation(
                "H4", f"{what}, a token ({call.jti or 'without jti'}) that no POST for this audience minted"
            )
        elif minted[call.jti] > call.ended + story.bounds.clock:
            yield Violation("H4", f"{what}, a token that was minted later, at {minted[call.jti]:.3f}")


def no_dead_token(story: Story) -> Iterator[Violation]:
    """H5: no token was dead by the issuer's clock when it was given. A stopped replica's answer may lie around."""
    bounds = story.bounds
    for call in story.got:
        dead_at = call.expires_at + bounds.expiry
        stopped = any(
            fault.stall and fault.concerns(call.replica) and fault.overlaps(call.began, call.ended)
            for fault in story.faults
        )
        given = call.began if stopped else call.ended - bounds.slack
        if given > dead_at:
            yield Violation(
                "H5",
                f"{story.audience}: {call.op} from {call.replica} at {call.ended:.3f} gave generation "
                f"{call.generation}, which had ended {call.ended - call.expires_at:.3f} s before",
            )


def within_the_rule(story: Story) -> Iterator[Violation]:
    """H17: no caller is given a token with scopes that its rules do not name, whatever it asked for."""
    if story.rights is None:
        return
    for call in story.got:
        rights = [right for right in story.rights if (right.caller, right.audience) == (call.caller, story.audience)]
        if any(right.scopes.issuperset(call.granted) for right in rights):
            continue
        who = call.caller or "a caller without identity"
        yield Violation(
            "H17",
            f"{story.audience}: {call.op} from {call.replica} at {call.ended:.3f} gave {who} a token with the scopes "
            f"{sorted(call.granted)}; its rules give {[sorted(right.scopes) for right in rights] or 'nothing'}",
        )


def ends_in_time(story: Story) -> Iterator[Violation]:
    """H9: every call ends by its deadline."""
    for call in story.calls:
        late = call.ended - call.began - call.deadline
        if call.deadline > 0 and late > story.bounds.slack:
            yield Violation(
                "H9",
                f"{story.audience}: {call.op} at {call.replica}, begun at {call.began:.3f} with {call.deadline:.1f} s, "
                f"ended {late:.3f} s late ({call.status})",
            )


def wakes_in_time(story: Story) -> Iterator[Violation]:
    """H9: who waits for another replica's mint has the token soon after the commit, while the store is in reach."""
    bounds = story.bounds
    for call, waited in waits(story):
        if waited > bounds.wake + bounds.slack:
            yield Violation(
                "H9",
                f"{story.audience}: a caller of {call.replica} waited {waited:.3f} s after the commit of generation "
                f"{call.generation}, until {call.ended:.3f}; {bounds.wake} s were promised",
            )


def waits(story: Story) -> Iterator[tuple[Call, float]]:
    """Each caller that waited for a commit by another replica, undisturbed, and how long after it the answer came."""
    commits = {step.generation: step for step in reversed(story.of("committed"))}
    for call in story.got:
        commit = commits.get(call.generation)
        if call.op != "get" or call.origin != "STORE" or commit is None or commit.replica == call.replica:
            continue
        if call.began < commit.time and not story.troubled(call.replica, call.began, call.ended):
            yield call, call.ended - commit.time


def says_why(story: Story) -> Iterator[Violation]:
    """H9: a call that failed says why, and when to try again, unless its replica was gone or the caller hung up."""
    for call in story.calls:
        if call.ok or call.status == "CANCELLED":
            continue
        what = f"{story.audience}: {call.op} at {call.replica} ended at {call.ended:.3f} with {call.status}"
        if call.status in SLIPS:
            yield Violation("H9", f"{what} ({call.reason or 'no reason'}), an error of our own")
        elif not call.reason:
            if not _was_gone(story, call):
                yield Violation("H9", f"{what} and no reason, though the replica was there")
        elif call.status in REPEATABLE and call.retry_after is None:
            yield Violation("H9", f"{what} ({call.reason}) and does not say when to try again")


def _was_gone(story: Story, call: Call) -> bool:
    """Killed, stopped or cut off from its callers: it could not answer."""
    ended = call.began - story.bounds.slack
    return any(
        (fault.crash or fault.stall) and fault.target in ("", call.replica) and fault.overlaps(ended, call.ended)
        for fault in story.faults
    )


def heals(story: Story) -> Iterator[Violation]:
    """H10: once all is well again, and a back-off that was asked for is over, a get succeeds.

    Counted are gets with time enough for a lease to lapse, at replicas that are there.
    """
    if (healed := healed_at(story)) == math.inf:
        return
    bounds = story.bounds
    needed = bounds.lease + bounds.wake + bounds.slack
    for call in story.calls:
        if call.op != "get" or call.ok or call.status == "CANCELLED" or call.deadline < needed:
            continue
        if call.began > max(healed, _back_off_over(story, call, healed)) and not _never_came_back(story, call.replica):
            yield Violation(
                "H10",
                f"{story.audience}: all was well from {healed:.3f} on, yet a get at {call.replica} that began at "
                f"{call.began:.3f} ended with {call.status} ({call.reason or 'no reason'})",
            )


def healed_at(story: Story) -> float:
    """The end of the last fault, and the time to get over it; -inf without faults. Dead replicas do not count."""
    ends = [fault.ended for fault in story.faults if not _is_loss(story, fault)]
    return max(ends) + story.bounds.lease + story.bounds.failover if ends else -math.inf


def _is_loss(story: Story, fault: Fault) -> bool:
    return fault.ended == math.inf and fault.crash and fault.target in story.replicas


def _never_came_back(story: Story, replica: str) -> bool:
    return any(_is_loss(story, fault) and fault.target == replica for fault in story.faults)


def _back_off_over(story: Story, call: Call, healed: float) -> float:
    """When the latest back-off ends that the call may have met; of mints that began before all was well."""
    fails = [step for step in story.of("mint_failed") if step.time <= call.ended and start_of(story, step) <= healed]
    return max((step.time + (step.retry_after or 0.0) for step in fails), default=-math.inf) + story.bounds.slack
