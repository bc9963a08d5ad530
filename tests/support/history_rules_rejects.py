"""H6, H7: what a rejection does, and what it may cost."""

from collections.abc import Iterator
from itertools import pairwise

from support.history_law import explained_by, fails, outage_cost, rejected, shortest_life
from support.history_records import Call, Fault, Post, Violation
from support.history_story import Story, clipped


def rejected_stays_away(story: Story) -> Iterator[Violation]:
    """H6: after Reject(g) is acknowledged, generations ≤ g are over: there at once, elsewhere within a bound.

    There: but for a replica that forgot (crash) while the store lost writes too. Elsewhere: see `_over_elsewhere`.
    """
    for reject in _acknowledged(story):
        limit = {replica: _over_elsewhere(story, reject, replica) for replica in story.replicas}
        for call in story.got:
            if call.generation > reject.generation:
                continue
            here = call.replica == reject.replica
            since = _asked(story, call) - (reject.ended if here else limit[call.replica])
            if since <= 0.0 or (_forgot(story, reject, call) if here else story.lossy(reject.began, call.ended)):
                continue
            where = "the same replica" if here else "another replica"
            yield Violation(
                "H6",
                f"{story.audience}: {reject.replica} acknowledged the rejection of generation {reject.generation} at "
                f"{reject.ended:.3f}, but {where} ({call.replica}) gave generation {call.generation} to a call that "
                f"began at {call.began:.3f}, {since:.3f} s after that was over",
            )


def rejected_text_stays_away(story: Story) -> Iterator[Violation]:
    """H6: the text of a rejected token does not come back under a new generation, while the store keeps its data."""
    texts = {call.generation: call.jti for call in story.got}
    for reject in _acknowledged(story):
        jti = texts.get(reject.generation)
        for call in story.got:
            if not jti or call.jti != jti or call.generation <= reject.generation or not reject.was_current:
                continue
            if _asked(story, call) <= reject.ended or _store_was_away(story, reject.began, call.ended):
                continue
            yield Violation(
                "H6",
                f"{story.audience}: the rejected token {jti} (generation {reject.generation}) was given by "
                f"{call.replica} at {call.ended:.3f} once more, as generation {call.generation}",
            )


def _acknowledged(story: Story) -> list[Call]:
    """The first acknowledged rejection of each generation at each replica: later ones promise nothing more."""
    first: dict[tuple[int, str], Call] = {}
    for call in sorted(story.rejects(), key=lambda call: call.ended):
        if call.ok:
            first.setdefault((call.generation, call.replica), call)
    return list(first.values())


def _asked(story: Story, call: Call) -> float:
    """When the answer was asked for. A watch's was sent unasked: a little before it came."""
    return call.began if call.op == "get" else call.ended - story.bounds.slack


def _over_elsewhere(story: Story, reject: Call, replica: str) -> float:
    """Until when another replica may serve what was rejected.

    That is the revalidation bound; if the store is out of its reach by then, the same bound from when it is back.
    """
    bounds = story.bounds
    limit = reject.ended + bounds.revalidate + bounds.slack
    for outage in story.outages(replica):
        if outage.ended >= reject.began and outage.began <= limit:
            limit = max(limit, outage.ended + bounds.failover + bounds.revalidate + bounds.slack)
    return limit


def _forgot(story: Story, reject: Call, call: Call) -> bool:
    """The replica that was told has forgotten it, and so has the store."""
    crashed = any(
        fault.crash and fault.concerns(call.replica) and fault.overlaps(reject.began, call.ended)
        for fault in story.faults
    )
    return crashed and story.lossy(reject.began, call.ended)


def _store_was_away(story: Story, began: float, ended: float) -> bool:
    return any(outage.overlaps(began, ended) for outage in story.outages())


def duplicates_cost_one(story: Story) -> Iterator[Violation]:
    """H7: however many callers reject one generation, they cause one POST; all others have causes of their own."""
    for generation in sorted(rejected(story)):
        rejects = [call for call in story.rejects() if call.generation == generation]
        began, ended = rejects[0].began, max(call.ended for call in rejects) + story.bounds.lease
        posts = [post for post in story.posts if began < post.time <= ended]
        others = _other_causes(story, generation, posts, began, ended) if len(posts) > 1 else 0
        if len(posts) > 1 + others:
            yield Violation(
                "H7",
                f"{story.audience}: {len(rejects)} rejections of generation {generation} between {began:.3f} and "
                f"{ended:.3f} caused {len(posts) - others} POSTs, not 1; of those at {_times(posts)}",
            )


def _times(posts: list[Post]) -> str:
    return ", ".join(f"{post.time:.3f}" for post in posts)


def _other_causes(story: Story, generation: int, posts: list[Post], began: float, ended: float) -> int:
    """How many POSTs in this time the rejection itself need not account for."""
    part = clipped(story, began - story.bounds.mint, ended)
    rejects = [call for call in story.rejects() if call.generation != generation and call.ended >= began]
    others = {call.generation for call in rejects if call.began <= ended and call.generation in rejected(story)}
    rotations = sum(call.op == "rotate" and began <= call.ended and call.began <= ended for call in story.calls)
    faults = sum(_cost(part, fault) for fault in part.faults)
    # In flight at the rejection: begun before it was acknowledged, and then refused.
    first_ack = min(call.ended for call in story.rejects() if call.generation == generation)
    in_flight = any(mint.began <= first_ack and mint.event == "commit_refused" for mint in part.mints)
    natural = sum(_is_natural(story, generation, post) for post in posts)
    return 2 * len(others) + rotations + faults + fails(part) + in_flight + natural


def _cost(story: Story, fault: Fault) -> int:
    alone = outage_cost(story, fault) if story.is_outage(fault) else 0
    caught = explained_by(story, fault) if fault.crash or fault.stall else 0
    return alone + caught + 2 * fault.lossy + fault.new_secret


def _is_natural(story: Story, generation: int, post: Post) -> bool:
    """The token before it was near its end anyway, and was not the rejected one."""
    earlier = [other for other in story.posts if other.jti and other.time < post.time]
    if not earlier:
        return False
    ends = {call.jti: (call.generation, call.expires_at) for call in story.got}
    latest = earlier[-1]
    number, expires_at = ends.get(latest.jti, (0, latest.time + shortest_life(story)))
    life = expires_at - latest.time
    return number != generation and life > 0 and post.time - latest.time >= story.bounds.early * life


def rejections_are_spaced(story: Story) -> Iterator[Violation]:
    """H7: two generations of a key are rejected at least `min_rotation` apart, or the second is refused."""
    counted: dict[int, Call] = {}
    for call in story.rejects():
        if call.ok and call.was_current:
            counted.setdefault(call.generation, call)
    for first, second in pairwise(sorted(counted.values(), key=lambda call: call.began)):
        apart = second.ended - first.began
        if apart < story.bounds.min_rotation - story.bounds.clock and not story.lossy(first.began, second.ended):
            yield Violation(
                "H7",
                f"{story.audience}: generations {first.generation} and {second.generation} were rejected {apart:.3f} s "
                f"apart, by {first.replica} and {second.replica}; "
                f"at least {story.bounds.min_rotation:.1f} s were promised",
            )
