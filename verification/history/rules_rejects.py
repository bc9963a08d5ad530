"""H6, H7, H16: what a rejection does, and what it may cost."""

from collections.abc import Iterator
from itertools import pairwise

from history.law import explained_by, fails, outage_cost, rejected, shortest_life
from history.records import Call, Fault, Post, Violation
from history.story import Story, clipped


def rejected_stays_away(story: Story) -> Iterator[Violation]:
    """H6: after Reject(g) is acknowledged, generations ≤ g are over: there at once, elsewhere within a bound.

    There: but for a replica that forgot (crash) while the store lost writes too. Elsewhere: see `_over_elsewhere`.
    Generations are compared by the store's numbers: a token minted alone has no place in that order before it has one.
    """
    for reject in _acknowledged(story):
        limit = {replica: _over_elsewhere(story, reject, replica) for replica in story.replicas}
        for call in story.got:
            if not _is_over(story, reject, call):
                continue
            here = call.replica == reject.replica
            since = _asked(story, call) - (reject.ended if here else limit[call.replica])
            forgivable = not here or not reject.was_current
            lost = story.lossy(reject.began, call.ended) if forgivable else _forgot(story, reject, call)
            if since <= 0.0 or lost:
                continue
            where = "the same replica" if here else "another replica"
            yield Violation(
                "H6",
                f"{story.audience}: {reject.replica} acknowledged the rejection of generation {reject.generation} at "
                f"{reject.ended:.3f}, but {where} ({call.replica}) gave generation {call.generation} to a call that "
                f"began at {call.began:.3f}, {since:.3f} s after that was over",
            )


def _is_over(story: Story, reject: Call, call: Call) -> bool:
    """Whether the rejection says that no caller may be given this token any more."""
    bar, number = story.number(reject.generation), story.number(call.generation)
    if not reject.was_current:
        # Another token is current. A provisional number means nothing to the replicas that do not hold the token.
        return number == bar and reject.generation not in story.provisional
    return number == bar if call.generation in story.provisional else number <= bar


def rejected_text_comes_back_marked(story: Story) -> Iterator[Violation]:
    """H6: the text of a rejected token comes back only if the issuer gave it again, and then marked degraded.

    While the store is away a replica cannot know of the rejection: then the mark may be missing.
    """
    first: dict[int, Call] = {}
    for reject in _acknowledged(story):
        if reject.was_current:
            first.setdefault(story.number(reject.generation), reject)
    texts = {story.number(generation): jti for generation, jti in story.texts.items()}
    for bar, reject in first.items():
        jti = texts.get(bar)
        for call in story.got:
            later = story.number(call.generation) > bar and _asked(story, call) > reject.ended
            if not jti or call.jti != jti or not later:
                continue
            what = (
                f"{story.audience}: the rejected token {jti} (generation {reject.generation}) was given by "
                f"{call.replica} at {call.ended:.3f} once more, as generation {call.generation}"
            )
            if not _given_again(story, jti, reject, call):
                yield Violation("H6", f"{what}, though the issuer did not give it again")
            elif not call.degraded and not _store_was_away(story, reject.began, call.ended):
                yield Violation("H6", f"{what}, and it was not marked degraded")


def _given_again(story: Story, jti: str, reject: Call, call: Call) -> bool:
    """Whether a POST after the rejection, or under way at that time, was answered with this token."""
    began = reject.began - story.bounds.mint
    return any(post.repeats == jti and began <= post.time <= call.ended + story.bounds.clock for post in story.posts)


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
    """H7: however many callers reject one token, they cause one POST; all others have causes of their own."""
    for generation in sorted(rejected(story)):
        rejects = _of(story, generation)
        began, ended = rejects[0].began, max(call.ended for call in rejects) + story.bounds.lease
        posts = [post for post in story.posts if began < post.time <= ended]
        others = 0
        if len(posts) > 1:
            part = clipped(story, began - story.bounds.mint, ended)
            others = _other_causes(story, part, generation, posts) + _other_rejections(story, generation, began, ended)
        if len(posts) > 1 + others:
            yield Violation(
                "H7",
                f"{story.audience}: {len(rejects)} rejections of generation {generation} between {began:.3f} and "
                f"{ended:.3f} caused {len(posts) - others} POSTs, not 1; of those at {_times(posts)}",
            )


def one_post_an_interval(story: Story) -> Iterator[Violation]:
    """H16: rejections cause at most one POST in `min_rotation`, whatever generations they name.

    Looked at from each rejection on. One that counted before may have its POST in that time too: the key was not
    asked for earlier.
    """
    counted = rejected(story)
    reported = float("-inf")
    for reject in story.rejects():
        began, ended = reject.began, reject.began + story.bounds.min_rotation - story.bounds.clock
        posts = [post for post in story.posts if began < post.time <= ended]
        if len(posts) <= 1 or began <= reported:
            continue
        part = clipped(story, began - story.bounds.mint, ended)
        number = story.number(reject.generation)
        others = _other_causes(story, part, number if number in counted else 0, posts) + _is_owed(story, began)
        if len(posts) > 1 + others:
            reported = ended
            yield Violation(
                "H16",
                f"{story.audience}: within {story.bounds.min_rotation:.1f} s of a rejection of generation "
                f"{reject.generation} at {began:.3f} there were {len(posts)} POSTs, at {_times(posts)}; {others} of "
                "them had other causes",
            )


def _is_owed(story: Story, began: float) -> bool:
    """Whether a rejection counted before this time and has had no POST yet."""
    counted = rejected(story)
    earlier = [call for call in story.rejects() if call.began < began and story.number(call.generation) in counted]
    return bool(earlier) and not any(earlier[-1].began < post.time <= began for post in story.posts)


def _of(story: Story, generation: int) -> list[Call]:
    """The rejections of this token, under whichever number."""
    return [call for call in story.rejects() if story.number(call.generation) == generation]


def _times(posts: list[Post]) -> str:
    return ", ".join(f"{post.time:.3f}" for post in posts)


def _other_causes(story: Story, part: Story, generation: int, posts: list[Post]) -> int:
    """How many of these POSTs a rejection of this generation need not account for. `part`: the story of that time."""
    rotations = sum(call.op == "rotate" for call in part.calls)
    faults = sum(_cost(part, fault) for fault in part.faults)
    # In flight at the rejection: begun before it was acknowledged, and then refused.
    acknowledged = min((call.ended for call in _of(story, generation)), default=posts[0].time)
    in_flight = any(mint.began <= acknowledged and mint.event == "commit_refused" for mint in part.mints)
    natural = sum(_is_natural(story, generation, post) for post in posts)
    return rotations + faults + _fails_of(part, posts) + in_flight + natural


def _fails_of(part: Story, posts: list[Post]) -> int:
    """Failed mints. Not the POSTs that the issuer answered with a rejected token: a rejection is their cause."""
    return fails(part) - sum(bool(post.repeats) for post in part.posts)


def _other_rejections(story: Story, generation: int, began: float, ended: float) -> int:
    """POSTs that rejections of other tokens may have caused in this time."""
    others = {
        story.number(call.generation)
        for call in story.rejects()
        if call.ended >= began and call.began <= ended and story.number(call.generation) != generation
    }
    return 2 * len(others & rejected(story))


def _cost(story: Story, fault: Fault) -> int:
    alone = outage_cost(story, fault) if story.is_outage(fault) else 0
    caught = explained_by(story, fault) if fault.crash or fault.stall else 0
    return alone + caught + 2 * fault.lossy + fault.new_secret


def _is_natural(story: Story, generation: int, post: Post) -> bool:
    """It is the first, or the token before it was near its end anyway, and was not the rejected one."""
    earlier = [other for other in story.posts if other.jti and other.time < post.time]
    if not earlier:
        return True
    ends = {call.jti: (story.number(call.generation), call.expires_at) for call in story.got}
    latest = earlier[-1]
    number, expires_at = ends.get(latest.jti, (0, latest.time + shortest_life(story)))
    life = expires_at - latest.time
    return number != generation and life > 0 and post.time - latest.time >= story.bounds.early * life


def rejections_are_spaced(story: Story) -> Iterator[Violation]:
    """H7: two tokens of a key are rejected at least `min_rotation` apart, or the second is refused."""
    counted: dict[int, Call] = {}
    for call in story.rejects():
        if call.ok and call.was_current:
            counted.setdefault(story.number(call.generation), call)
    for first, second in pairwise(sorted(counted.values(), key=lambda call: call.began)):
        apart = second.ended - first.began
        if apart < story.bounds.min_rotation - story.bounds.clock and not story.lossy(first.began, second.ended):
            yield Violation(
                "H7",
                f"{story.audience}: generations {first.generation} and {second.generation} were rejected {apart:.3f} s "
                f"apart, by {first.replica} and {second.replica}; "
                f"at least {story.bounds.min_rotation:.1f} s were promised",
            )
