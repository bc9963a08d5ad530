"""H1, H2, H3, H8: how often the issuer was asked, and for what."""

from collections import Counter
from collections.abc import Iterator

from history.law import generations, law, rejected
from history.records import Call, Post, Step, Violation
from history.story import Mint, Story


def fault_free(story: Story) -> Iterator[Violation]:
    """H1: without faults and failed mints, POSTs == generations; a rejection may refuse the one mint in flight."""
    if story.faults or any(not post.jti for post in story.posts) or story.of("mint_failed"):
        return
    made, posts = generations(story), len(story.posts)
    refused = min(len(story.of("commit_refused")), len(rejected(story)))
    if not len(made) <= posts <= len(made) + refused:
        yield Violation(
            "H1",
            f"{story.audience}: nothing went wrong, yet there are {posts} POSTs for {len(made)} generations "
            f"{sorted(made)} and {refused} mints that a rejection overtook; {_strays(story)}",
        )


def mint_law(story: Story) -> Iterator[Violation]:
    """H2: POSTs ≤ generations + crashes + stalls + fails + 2·rejected + 2·lossy failovers (+ alone in outages)."""
    allowed, posts = law(story), len(story.posts)
    if posts > allowed.bound:
        yield Violation(
            "H2",
            f"{story.audience}: {posts} POSTs, but only {allowed.bound} are explained ({allowed}); {_strays(story)}",
        )


def _strays(story: Story) -> str:
    given = {call.jti for call in story.got}
    strays = [f"{post.time:.3f} ({post.jti})" for post in story.posts if post.jti and post.jti not in given]
    return f"POSTs whose token no caller got: {', '.join(strays) or 'none'}"


def one_post_a_generation(story: Story) -> Iterator[Violation]:
    """H3: a generation is begun once, and names one token."""
    for generation, starts in Counter(mint.generation for mint in story.mints).items():
        if starts > 1:
            who = sorted({mint.replica for mint in story.mints if mint.generation == generation})
            yield Violation("H3", f"{story.audience}: {starts} mints began for generation {generation}, by {who}")
    tokens: dict[int, set[str]] = {}
    for call in story.got:
        tokens.setdefault(call.generation, set()).add(call.jti)
    for generation, jtis in tokens.items():
        if len(jtis) > 1:
            yield Violation("H3", f"{story.audience}: generation {generation} names {len(jtis)} tokens: {sorted(jtis)}")


def one_number_a_token(story: Story) -> Iterator[Violation]:
    """H3: a token has one number of the store's, unless the issuer gave it again. Before it, perhaps a provisional one.

    An answer of the store's that is lost in an outage may give a token minted alone one number more.
    """
    given: dict[str, dict[int, list[Call]]] = {}
    for call in story.got:
        given.setdefault(call.jti, {}).setdefault(story.number(call.generation), []).append(call)
    for jti, numbers in given.items():
        calls = [call for same in numbers.values() for call in same if call.generation not in story.provisional]
        if not calls:
            continue
        began, ended = min(call.began for call in calls), max(call.ended for call in calls)
        lost = sum(outage.overlaps(began, ended) for outage in story.outages())
        if len(numbers) > 1 + lost + sum(post.repeats == jti for post in story.posts):
            yield Violation("H3", f"{story.audience}: the token {jti} has the generations {sorted(numbers)}")


def commits_rise(story: Story) -> Iterator[Violation]:
    """H3: a commit that surely began after another had ended has a higher generation, unless writes were lost."""
    minted_at = {(step.replica, step.generation): step.time for step in story.of("minted", "mint_started")}
    highest: Step | None = None
    for step in story.of("committed", "adopted"):
        # An adoption has a lease too, of which the log says nothing.
        unknown = step.time - (story.bounds.lease if step.event == "adopted" else 0.0)
        began = minted_at.get((step.replica, step.generation), unknown)
        if highest is not None and step.generation <= highest.generation and step is not highest:
            surely_after = began > highest.time + story.bounds.clock
            if surely_after and not story.lossy(highest.time, step.time):
                yield Violation(
                    "H3",
                    f"{story.audience}: {step.replica} committed generation {step.generation} at {step.time:.3f}, "
                    f"after {highest.replica} had committed {highest.generation} at {highest.time:.3f}",
                )
        if highest is None or step.generation > highest.generation:
            highest = step


def answers_rise(story: Story) -> Iterator[Violation]:
    """H3: a replica never goes back to an older generation, unless it forgot (crash) or the store did.

    Nor while the store is out of reach and just after: what a replica minted alone, the others have yet to hear of.
    """
    for replica in story.replicas:
        gets = [call for call in story.got if call.op == "get" and call.replica == replica]
        for earlier, later in _falling(gets):
            crashes = (fault for fault in story.faults if fault.crash and fault.concerns(replica))
            excuses = (*crashes, *story.outages(replica))
            if not any(fault.overlaps(earlier.began, later.ended) for fault in excuses):
                yield Violation(
                    "H3",
                    f"{story.audience}: {replica} answered generation {earlier.generation} at {earlier.ended:.3f} and "
                    f"went back to {later.generation} in a call that began at {later.began:.3f}",
                )


def _falling(gets: list[Call]) -> Iterator[tuple[Call, Call]]:
    """Each call with the highest generation that a call which had ended before it was given, where that is higher."""
    ended = sorted(gets, key=lambda call: call.ended)
    highest, place = None, 0
    for call in gets:  # in order of their beginnings
        while place < len(ended) and ended[place].ended < call.began:
            if highest is None or ended[place].generation > highest.generation:
                highest = ended[place]
            place += 1
        if highest is not None and call.generation < highest.generation:
            yield highest, call


def back_off(story: Story) -> Iterator[Violation]:
    """H8: no POST from a failed mint until its back-off is over, but for what cannot know or need not heed it."""
    for failed in story.of("mint_failed"):
        ends = _back_off_ends(story, failed)
        for post in story.posts:
            inside = failed.time + story.bounds.clock < post.time < ends - story.bounds.clock
            if inside and not _excused(story, failed, post):
                yield Violation(
                    "H8",
                    f"{story.audience}: a POST at {post.time:.3f}, {ends - post.time:.3f} s before the back-off is "
                    f"over that {failed.replica} asked for at {failed.time:.3f} (generation {failed.generation})",
                )


def repeated_token_waits(story: Story) -> Iterator[Violation]:
    """H8: an issuer that repeats the live token is not asked again before that ends, unless it is rejected."""
    ends = {call.jti: call.expires_at for call in story.got}
    for step in story.of("issuer_repeated_token"):
        repeats = [post.repeats for post in story.posts if post.repeats and post.time <= step.time]
        over = min([ends.get(repeats[-1], step.time) if repeats else step.time, *_rejected_after(story, step)])
        for post in story.posts:
            inside = step.time + story.bounds.clock < post.time < over - story.bounds.slack
            if inside and not _excused(story, step, post):
                yield Violation(
                    "H8",
                    f"{story.audience}: a POST at {post.time:.3f}, though the issuer had repeated its token at "
                    f"{step.time:.3f} (generation {step.generation}), which lives until {over:.3f}",
                )


def _rejected_after(story: Story, step: Step) -> list[float]:
    counted = rejected(story)
    rejects = [call for call in story.rejects() if story.number(call.generation) in counted]
    return [call.began for call in rejects if call.ended >= step.time - story.bounds.mint]


def _back_off_ends(story: Story, failed: Step) -> float:
    """A commit that comes later all the same, by a mint that was in flight, shows that the issuer is well."""
    ends = failed.time + (failed.retry_after or 0.0)
    return min([ends, *(step.time for step in story.of("committed") if step.time > failed.time)])


def _excused(story: Story, failed: Step, post: Post) -> bool:
    """The store or a replica was out of order, a mint was in flight already, or there are new credentials."""
    began = failed.time - story.bounds.lease
    if story.lossy(began, post.time) or any(outage.overlaps(began, post.time) for outage in story.outages()):
        return True
    if any(fault.overlaps(began, post.time) for fault in story.faults if fault.new_secret):
        return True
    own = next((mint for mint in story.mints if _is_of(mint, failed)), None)
    if own is not None and story.troubled(failed.replica, own.began, failed.time):
        return True  # its lease lapsed meanwhile, so the failure was not published
    return any(_was_in_flight(story, mint, failed, post) for mint in story.mints if not _is_of(mint, failed))


def _is_of(mint: Mint, step: Step) -> bool:
    return (mint.replica, mint.generation) == (step.replica, step.generation)


def _was_in_flight(story: Story, mint: Mint, failed: Step, post: Post) -> bool:
    """Begun before the failure, and not yet over at the POST."""
    ended = mint.began + story.bounds.mint if mint.ended is None else mint.ended
    return mint.began <= failed.time and post.time <= ended
