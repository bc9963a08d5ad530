"""What may happen to the whole fleet: time that passes, callers that reject, a store that forgets."""

from collections.abc import Iterator

from model.acts import Acts
from model.fleet import Step, forget
from model.values import State
from model.world import ACTIVE, Known, Phase, Replica, World, nonce_of


def fleet_steps(acts: Acts, world: World) -> Iterator[Step]:
    """All of it."""
    yield from _time_passes(world)
    yield from _a_caller_rejects(acts, world)
    yield from _data_is_lost(world)


def _time_passes(world: World) -> Iterator[Step]:
    left, (record, lease, meta) = world.left, world.state
    if lease:
        holders = [index for index in range(len(world.replicas)) if nonce_of(index) == lease.nonce]
        lapsed = world._replace(state=world.state._replace(lease=None))
        if not any(world.replicas[index].phase in ACTIVE for index in holders):
            yield Step("the lease of nobody lapses", lapsed)
        elif left.stalls:
            (holder,) = holders
            overdue = world.replicas[holder]._replace(overdue=True)
            stalled = lapsed.with_replica(holder, overdue)._replace(left=left.less(stalls=1))
            yield Step(f"{holder} stalls, its lease lapses", stalled, fault=True)
    if meta.until:
        # The callers that were told to come later do.
        state = world.state._replace(meta=meta._replace(until=0))
        known = world.known._replace(closed=0)
        yield Step("the back-off is over", _ask_again(world._replace(state=state, known=known), 0))
    if meta.rejected_at and left.rejects:
        state = world.state._replace(meta=meta._replace(rejected_at=0))
        known = world.known._replace(fresh=False)
        yield Step("the interval between rejections is over", world._replace(state=state, known=known))
    if record and left.expiries:
        state = world.state._replace(record=None)
        # What has expired bars no older token that lives longer: its holder comes late, but its token is good.
        known = world.known._replace(peak=0)
        expired = _ask_again(world._replace(state=state, known=known, left=left.less(expiries=1)), record.generation)
        yield Step(f"{record.generation} expires", expired, fault=True)


def _ask_again(world: World, generation: int) -> World:
    """Whoever is done with this generation wants another one."""
    replicas = tuple(
        Replica(version=replica.version, barred=replica.barred)
        if replica.phase is Phase.DONE and replica.token.generation == generation
        else replica
        for replica in world.replicas
    )
    return world._replace(replicas=replicas)


def _a_caller_rejects(acts: Acts, world: World) -> Iterator[Step]:
    if not world.left.rejects:
        return
    for generation in world.served:
        after, reply = acts.reject(world, generation)
        after = after._replace(left=world.left.less(rejects=1))
        label = f"a caller REJECTs {generation}: {reply.word}"
        if reply.word != "CURRENT" or after.rejections == world.rejections:
            yield Step(label, after, fault=True)
            continue
        yield Step(label, forget(after, generation), fault=True)
        if world.left.write_backs:
            yield Step(f"{label}, but no replica hears of it", after, fault=True)


def _data_is_lost(world: World) -> Iterator[Step]:
    left = world.left
    # Meanwhile the clock overtakes the generations, which otherwise may be handed out faster than one a millisecond.
    later = max(world.now, world.state.meta.generation + 1)
    if left.losses and world.state != State():
        emptied = world._replace(now=later, state=State(), known=Known(), left=left.less(losses=1), before=None)
        yield Step("the store is emptied", emptied, fault=True)
    if left.failovers and world.before:
        state, known = world.before
        forgot = world._replace(now=later, state=state, known=known, left=left.less(failovers=1), before=None)
        yield Step("the store fails over and forgets the last act", forgot, fault=True)
