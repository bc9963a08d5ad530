"""What each replica may do next: the flight of core/minting.py and core/alone.py."""

from collections.abc import Iterator

from model import laws
from model.acts import Acts
from model.keeping import Step, keeping_steps, name_steps, offered, over, recorded
from model.values import Acquired, Backoff, Committed, Granted, Hit, Wait
from model.world import ACTIVE, BEHIND, Minted, Phase, Replica, World

SPREAD = 50
"""Keeps numbers apart that in truth are drawn at random: the provisional ones from each other and from the store's."""


def replica_steps(acts: Acts, world: World, index: int) -> Iterator[Step]:
    """All that this replica may do, and all that may happen to it at that."""
    replica = world.replicas[index]
    match replica.phase:
        case Phase.ASKING:
            yield from _ask(acts, world, index)
        case Phase.HOLDING:
            yield _post(world, index)
        case Phase.POSTED:
            yield from _answers(world, index)
        case Phase.COMMITTING:
            yield from _commit(acts, world, index)
        case Phase.FAILING:
            after = acts.fail(world, index)
            yield from _told(world, after, index, "FAIL", replica._replace(phase=Phase.SETTLING))
        case Phase.SETTLING:
            yield _settle(acts, world, index)
        case Phase.SHARING:
            yield from _told(world, acts.fail(world, index), index, "FAIL again", None)
        case Phase.REPEATED:
            after = acts.fail(world, index, while_live=True)
            yield from _told(world, over(after, index, replica), index, "FAIL while it lives", replica.again())
        case Phase.ADOPTING:
            yield from name_steps(acts, world, index)
        case Phase.DONE:
            yield from _more(world, index)
        case Phase.CRASHED:
            return
    if replica.phase not in ACTIVE:
        yield from keeping_steps(acts, world, index)
    yield from _ends(world, index)


def _ends(world: World, index: int) -> Iterator[Step]:
    replica = world.replicas[index]
    if replica.phase in ACTIVE and world.left.crashes:
        crashed = Replica(Phase.CRASHED)
        after = over(world._replace(left=world.left.less(crashes=1)), index, crashed)
        yield Step(f"{index} crashes", after, fault=True)
    # What it had in memory is gone then.
    if replica.version == 1 and replica.phase in (Phase.ASKING, Phase.DONE) and world.left.rotations:
        restarted = over(world._replace(left=world.left.less(rotations=1)), index, Replica(version=2))
        yield Step(f"{index} restarts with a new secret", restarted, fault=True)


def _ask(acts: Acts, world: World, index: int) -> Iterator[Step]:
    after, reply = acts.acquire(world, index)
    label = f"{index} ACQUIRE: {_said(reply)}"
    yield Step(label, _answered(after, index, reply))
    if world.left.lost_replies and after.state != world.state:
        yield Step(f"{label}, reply lost", after._replace(left=after.left.less(lost_replies=1)), fault=True)
    if world.left.alone and not world.replicas[index].held.live:
        yield from _mint_alone(world, index)


def _mint_alone(world: World, index: int) -> Iterator[Step]:
    """The store is away. The host's clock may be ahead of the store's, or behind."""
    replica = world.replicas[index]
    known = {f"text {len(world.posts)}": False}
    if world.left.repeats:
        known |= dict.fromkeys(_rejected_texts(world), True)
    for clock in (world.now // 4, 3 * world.now):
        number = max(clock, replica.barred, replica.held.generation) + SPREAD * (1 + len(world.posts))
        for text, repeats in known.items():
            reissued = text == replica.barred_text
            left = world.left.less(alone=1, repeats=repeats)
            after = laws.judge_post(world._replace(left=left), number)
            token = Minted(number, replica.version, text, provisional=True, reissued=reissued, born=len(after.posts))
            yield Step(f"{index} mints {number} without the store", _take(after, index, token), fault=True)


def _more(world: World, index: int) -> Iterator[Step]:
    """A replica that has a token, or gave an error."""
    replica = world.replicas[index]
    if replica.held.dead:
        yield Step(f"{index} asks for another", world.with_replica(index, replica.landed(Phase.ASKING)))
    if replica.held.live and world.left.refreshes:
        asking = replica.landed(Phase.ASKING)._replace(newer_than=replica.held.generation)
        after = world._replace(left=world.left.less(refreshes=1)).with_replica(index, asking)
        yield Step(f"{index} wants a successor", after, fault=True)


def _answered(world: World, index: int, reply: Acquired) -> World:
    replica = world.replicas[index]
    match reply:
        case Hit(record):
            return _take(world, index, recorded(record))
        case Granted(generation, rejected_print=print, live_print=live):
            holding = replica._replace(phase=Phase.HOLDING, generation=generation, overdue=False, token=Minted())
            return world.with_replica(index, holding._replace(rejected_text=print, live_text=live))
        case Wait():
            return world
        case Backoff(record=record):
            return _take(world, index, recorded(record) if record else Minted())


def _take(world: World, index: int, token: Minted) -> World:
    """The flight is over. The caller gets the token, or the error."""
    replica = world.replicas[index].landed(Phase.DONE)
    if token.generation > replica.barred and token.generation not in world.served:
        world = world._replace(served=tuple(sorted((*world.served, token.generation))))
    return over(world, index, offered(replica, token))


def _post(world: World, index: int) -> Step:
    replica = world.replicas[index]
    if replica.overdue:  # it looks at its own clock just before the POST
        return Step(f"{index} sees that its lease is over", world.with_replica(index, replica.again()))
    posted = laws.judge_post(world, replica.generation)
    return Step(f"{index} POST for {replica.generation}", posted.with_replica(index, _in(replica, Phase.POSTED)))


def _answers(world: World, index: int) -> Iterator[Step]:
    replica, left = world.replicas[index], world.left
    token = Minted(replica.generation, replica.version, f"text {replica.generation}", born=len(world.posts))
    committing = _in(replica, Phase.COMMITTING)
    yield Step(f"{index} gets a token", world.with_replica(index, committing._replace(token=token)))
    if left.failures:
        refused = world._replace(left=left.less(failures=1)).with_replica(index, _in(replica, Phase.FAILING))
        yield Step(f"{index}: the issuer says no", refused, fault=True)
    record = world.state.record
    texts = _rejected_texts(world) | ({record.print} if record else set[str]())
    for text in sorted(texts):
        if left.repeats:
            repeated = world._replace(left=left.less(repeats=1)).with_replica(index, _repeated(replica, token, text))
            yield Step(f"{index} gets {text} again", repeated, fault=True)


def _rejected_texts(world: World) -> set[str]:
    """What the store knows of; after a loss, what it knew."""
    return set(world.gone) if world.now == BEHIND else {world.known.rejected_text} - {""}


def _repeated(replica: Replica, token: Minted, text: str) -> Replica:
    """It notices, if it was told the text with its lease."""
    if text == replica.live_text:
        return _in(replica, Phase.REPEATED)
    reissued = text == replica.rejected_text
    return _in(replica, Phase.COMMITTING)._replace(token=token._replace(text=text, reissued=reissued))


def _commit(acts: Acts, world: World, index: int) -> Iterator[Step]:
    replica, record = world.replicas[index], world.state.record
    known = record is not None and record.print == replica.live_text == replica.token.text
    laws.require(not known, laws.SECOND, replica.token.text)
    after, reply = acts.commit(world, replica.token)
    label = f"{index} COMMIT {replica.token.generation}: {reply.word}"
    if isinstance(reply, Committed) or reply.word == "OLD_CREDENTIALS":
        # With old credentials the token is live all the same: those who wait get it. Asking again would mint again.
        yield Step(label, _take(after, index, replica.token))
    else:
        # It asks again under a new nonce: a failover may bring the lease back that its POST is spent on.
        yield Step(label, over(after, index, replica.again()))
    left = world.left
    if left.lost_replies and after.state != world.state:
        yield Step(f"{label}, reply lost", after._replace(left=left.less(lost_replies=1)), fault=True)
    if left.outages:
        alone = _take(world._replace(left=left.less(outages=1)), index, replica.token)
        yield Step(f"{index}: the store is away, no COMMIT", alone, fault=True)


def _told(world: World, after: World, index: int, label: str, replica: Replica | None) -> Iterator[Step]:
    ended = _take(after, index, Minted()) if replica is None else after.with_replica(index, replica)
    yield Step(f"{index} {label}", ended)
    if world.left.lost_replies and after.state != world.state:
        yield Step(f"{index} {label}, reply lost", after._replace(left=world.left.less(lost_replies=1)), fault=True)


def _settle(acts: Acts, world: World, index: int) -> Step:
    after, reply = acts.acquire(world, index)
    label = f"{index} ACQUIRE after its failure: {_said(reply)}"
    if isinstance(reply, Granted):
        sharing = after.replicas[index]._replace(phase=Phase.SHARING, generation=reply.generation, overdue=False)
        return Step(label, after.with_replica(index, sharing))
    if isinstance(reply, Wait):
        return Step(label, _take(after, index, Minted()))
    return Step(label, _answered(after, index, reply))


def _in(replica: Replica, phase: Phase) -> Replica:
    return replica._replace(phase=phase)


def _said(reply: Acquired) -> str:
    match reply:
        case Hit(record):
            return f"HIT {record.generation}"
        case Granted(generation):
            return f"LEASE {generation}"
        case Wait():
            return "WAIT"
        case Backoff():
            return "BACKOFF"
