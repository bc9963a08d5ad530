"""What may happen to the whole fleet: time that passes, callers that reject, a store that forgets."""

from collections.abc import Iterator

from model import laws
from model.acts import Acts
from model.keeping import Step, confirm, reject
from model.laws import require
from model.values import State
from model.world import ACTIVE, BEHIND, START, Known, Phase, Replica, World, nonce_of


def fleet_steps(acts: Acts, world: World) -> Iterator[Step]:
    """All of it."""
    yield from _time_passes(world)
    yield from _a_caller_rejects(acts, world)
    yield from _data_is_lost(world)


def _time_passes(world: World) -> Iterator[Step]:
    left, (_, lease, meta) = world.left, world.state
    if lease:
        holders = [index for index in range(len(world.replicas)) if nonce_of(index) == lease.nonce]
        lapsed = world._replace(state=world.state._replace(lease=None))
        if not any(world.replicas[index].phase in ACTIVE for index in holders):
            yield Step("the lease of no one lapses", lapsed)
        elif left.stalls:
            (holder,) = holders
            overdue = world.replicas[holder]._replace(overdue=True)
            stalled = lapsed.with_replica(holder, overdue)._replace(left=left.less(stalls=1))
            yield Step(f"{holder} stalls, its lease lapses", stalled, fault=True)
    if meta.until:
        # The callers that were told to come later do.
        state = world.state._replace(meta=meta._replace(until=0))
        known = world.known._replace(closed=0, while_live=False)
        yield Step("the back-off is over", _ask_again(world._replace(state=state, known=known)))
    if meta.rejected_at and left.rejects:
        state = world.state._replace(meta=meta._replace(rejected_at=0))
        known = world.known._replace(fresh=False)
        yield Step("the interval between rejections is over", world._replace(state=state, known=known))
    if left.expiries:
        yield from _a_token_ends(world)


def _a_token_ends(world: World) -> Iterator[Step]:
    record, later = world.state.record, world._replace(left=world.left.less(expiries=1))
    alone = {replica.held.generation for replica in world.replicas if replica.held.live and replica.held.provisional}
    for number in alone - {record.provisional if record else 0}:
        yield Step(f"{number} ends, which the store never had", _dies(later, {number}), fault=True)
    if record:
        # What has expired bars no older token that lives longer: its holder comes late, but its token is good.
        known = world.known._replace(peak=0, served_as=0)
        expired = later._replace(state=world.state._replace(record=None), known=known)
        yield Step(f"{record.generation} expires", _dies(expired, {record.generation, record.provisional}), fault=True)


def _dies(world: World, numbers: set[int]) -> World:
    """Callers want another one."""
    return _ask_again(world._replace(replicas=tuple(_without(replica, numbers - {0}) for replica in world.replicas)))


def _without(replica: Replica, numbers: set[int]) -> Replica:
    if replica.held.generation in numbers:
        replica = replica._replace(held=replica.held._replace(dead=True))
    if replica.phase is Phase.ADOPTING and replica.token.generation in numbers:
        replica = replica._replace(token=replica.token._replace(dead=True))
    return replica


def _ask_again(world: World) -> World:
    """A replica that is done and has no live token wants one."""
    replicas = tuple(
        replica.landed(Phase.ASKING) if replica.phase is Phase.DONE and not replica.held.live else replica
        for replica in world.replicas
    )
    return world._replace(replicas=replicas)


def _a_caller_rejects(acts: Acts, world: World) -> Iterator[Step]:
    if not world.left.rejects:
        return
    said = world._replace(left=world.left.less(rejects=1))
    for index, generation in _namings(world):
        after, reply = reject(acts, said, index, generation)
        label = f"a caller REJECTs {generation} at {index}: {reply.word}"
        kept = reply.word != "TOO_SOON" and after.replicas[index].held.called(generation)
        require(not kept, laws.WITHDRAWN, label)
        if after.state.record == world.state.record or reply.word != "CURRENT":
            yield Step(label, after, fault=True)
            continue
        yield Step(label, _heard(acts, after), fault=True)
        if world.left.write_backs:
            yield Step(f"{label}, but no replica hears of it", after, fault=True)


def _namings(world: World) -> Iterator[tuple[int, int]]:
    """Each number that callers have seen, and one that never was: at each replica that has it and at one that has not.

    What the others would do differs in nothing.
    """
    never = 2 * max((*world.served, *world.posts, world.known.highest, world.now))
    for generation in (*world.served, never):
        others = True
        for index, replica in enumerate(world.replicas):
            called = replica.held.called(generation)
            if replica.phase is not Phase.CRASHED and (called or others):
                others = others and called
                yield index, generation


def _heard(acts: Acts, world: World) -> World:
    """A hint came to all: each asks the store about the token that it holds, at once or when its flight is over."""
    for index, replica in enumerate(world.replicas):
        if replica.held.live and not replica.held.provisional:
            if replica.phase in ACTIVE:
                world = world.with_replica(index, replica._replace(doubts=True))
            else:
                world = confirm(acts, world, index)
    return world


def _data_is_lost(world: World) -> Iterator[Step]:
    left = world.left
    # Meanwhile the clock overtakes the generations, which otherwise may be handed out faster than one a millisecond.
    later = max(world.now, world.state.meta.generation + 1)
    if left.losses and world.state != State():
        emptied = world._replace(now=later, state=State(), known=Known(), left=left.less(losses=1), before=None)
        yield Step("the store is emptied", emptied, fault=True)
    if left.clocks and world.state != State() and world.now == START:
        emptied = world._replace(now=BEHIND, state=State(), known=Known(), left=left.less(clocks=1), before=None)
        yield Step("the store is emptied, and its clock is behind", emptied, fault=True)
    if left.failovers and world.before:
        state, known = world.before
        forgot = world._replace(now=later, state=state, known=known, left=left.less(failovers=1), before=None)
        yield Step("the store fails over and forgets the last act", forgot, fault=True)
