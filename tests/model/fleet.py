"""What each replica may do next: the flight of core/minting.py, the write-back of core/revalidation.py."""

from collections.abc import Iterator
from typing import NamedTuple

from model import laws
from model.acts import Acts
from model.values import Acquired, Backoff, Committed, Granted, Hit, Wait
from model.world import ACTIVE, Minted, Phase, Replica, World, nonce_of, without_nonce


class Step(NamedTuple):
    """One thing that may happen. `fault`: it costs a budget; the rest happens by itself if one only waits."""

    label: str
    world: World
    fault: bool = False


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
        case Phase.DONE:
            yield from _write_back(acts, world, index)
        case Phase.CRASHED:
            return
    if replica.phase in ACTIVE and world.left.crashes:
        crashed = Replica(Phase.CRASHED)
        after = over(world._replace(left=world.left.less(crashes=1)), index, crashed)
        yield Step(f"{index} crashes", after, fault=True)
    # What it had in memory is gone then.
    if replica.version == 1 and replica.phase in (Phase.ASKING, Phase.DONE) and world.left.rotations:
        restarted = over(world._replace(left=world.left.less(rotations=1)), index, Replica(version=2))
        yield Step(f"{index} restarts with a new secret", restarted, fault=True)


def over(world: World, index: int, replica: Replica) -> World:
    """The replica's flight has ended: nobody asks with its nonce again, so a lease that it left is nobody's."""
    world = world.with_replica(index, replica)._replace(state=without_nonce(world.state, nonce_of(index)))
    if world.before:
        state, known = world.before
        world = world._replace(before=(without_nonce(state, nonce_of(index)), known))
    return world


def _ask(acts: Acts, world: World, index: int) -> Iterator[Step]:
    after, reply = acts.acquire(world, index)
    label = f"{index} ACQUIRE: {_said(reply)}"
    yield Step(label, _answered(after, index, reply))
    if world.left.lost_replies and after.state != world.state:
        yield Step(f"{label}, reply lost", after._replace(left=after.left.less(lost_replies=1)), fault=True)


def _answered(world: World, index: int, reply: Acquired) -> World:
    replica = world.replicas[index]
    match reply:
        case Hit(record):
            return _take(world, index, Minted(record.generation, record.version, record.print))
        case Granted(generation, rejected_print=print):
            holding = replica._replace(
                phase=Phase.HOLDING, generation=generation, rejected_text=print, overdue=False, token=Minted()
            )
            return world.with_replica(index, holding)
        case Wait():
            return world
        case Backoff(record=record):
            token = Minted(record.generation, record.version, record.print) if record else Minted()
            return _take(world, index, token)


def _take(world: World, index: int, token: Minted) -> World:
    """The flight is over. The caller gets the token, or the error."""
    replica = world.replicas[index]
    done = Replica(Phase.DONE, version=replica.version, token=token, barred=replica.barred)
    if token.generation and token.generation not in world.served:
        world = world._replace(served=tuple(sorted((*world.served, token.generation))))
    return over(world, index, done)


def _post(world: World, index: int) -> Step:
    replica = world.replicas[index]
    if replica.overdue:  # it looks at its own clock just before the POST
        return Step(f"{index} sees that its lease is over", world.with_replica(index, _asking(replica)))
    posted = laws.judge_post(world, replica)
    return Step(f"{index} POST for {replica.generation}", posted.with_replica(index, _in(replica, Phase.POSTED)))


def _answers(world: World, index: int) -> Iterator[Step]:
    replica, left = world.replicas[index], world.left
    token = Minted(replica.generation, replica.version, f"text {replica.generation}")
    committing = _in(replica, Phase.COMMITTING)
    yield Step(f"{index} gets a token", world.with_replica(index, committing._replace(token=token)))
    if left.failures:
        refused = world._replace(left=left.less(failures=1)).with_replica(index, _in(replica, Phase.FAILING))
        yield Step(f"{index}: the issuer says no", refused, fault=True)
    if left.repeats and (text := world.known.rejected_text):
        # It notices, if it was told the text with its lease.
        noticed = text == replica.rejected_text
        after = _in(replica, Phase.FAILING) if noticed else committing._replace(token=token._replace(text=text))
        repeated = world._replace(left=left.less(repeats=1)).with_replica(index, after)
        yield Step(f"{index} gets the rejected text again", repeated, fault=True)


def _commit(acts: Acts, world: World, index: int) -> Iterator[Step]:
    replica = world.replicas[index]
    after, reply = acts.commit(world, replica.token)
    label = f"{index} COMMIT {replica.token.generation}: {reply.word}"
    if isinstance(reply, Committed) or reply.word in ("DEAD", "OLD_CREDENTIALS"):
        # With old credentials the token is live all the same: those who wait get it. Asking again would mint again.
        yield Step(label, _take(after, index, replica.token))
    else:
        # It asks again under a new nonce: a failover may bring the lease back that its POST is spent on.
        yield Step(label, over(after, index, _asking(replica)))
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


def _write_back(acts: Acts, world: World, index: int) -> Iterator[Step]:
    replica, record = world.replicas[index], world.state.record
    if record and record.generation <= replica.barred:
        after, reply = acts.reject(world, record.generation)
        if after.state != world.state:
            yield Step(f"{index} rejects {record.generation} again: {reply.word}", forget(after, record.generation))
    token = replica.token
    if token.generation and world.left.write_backs and (record is None or record.generation != token.generation):
        after, restored = acts.commit(world, token, restored=True)
        after = after._replace(left=world.left.less(write_backs=1))
        if restored.word == "REJECTED":
            after = after.with_replica(index, _asking(replica)._replace(barred=token.generation))
        yield Step(f"{index} RESTORE {token.generation}: {restored.word}", after, fault=True)


def forget(world: World, generation: int) -> World:
    """All hear that it was rejected. Whose token that was, has a caller who asks again."""
    return world._replace(replicas=tuple(_hears(replica, generation) for replica in world.replicas))


def _hears(replica: Replica, generation: int) -> Replica:
    if replica.phase is Phase.CRASHED:
        return replica
    replica = replica._replace(barred=max(replica.barred, generation))
    is_its_own = replica.phase is Phase.DONE and replica.token.generation <= generation
    return _asking(replica) if is_its_own else replica


def _asking(replica: Replica) -> Replica:
    return Replica(version=replica.version, barred=replica.barred)


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
