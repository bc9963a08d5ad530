"""What a replica does with the token that it has: core/memory.py, core/revalidation.py, and the broker's reject."""

from collections.abc import Iterator
from typing import NamedTuple

from model import laws
from model.acts import STANDS_BY, Acts
from model.values import Committed, Granted, Hit, Record, Rejection
from model.world import ACTIVE, Minted, Phase, Replica, World, nonce_of, withdrawn, without_nonce


class Step(NamedTuple):
    """One thing that may happen. `fault`: it costs a budget; the rest happens by itself if one only waits."""

    label: str
    world: World
    fault: bool = False


def over(world: World, index: int, replica: Replica) -> World:
    """The replica's flight has ended: nothing asks with its nonce again, so a lease that it left belongs to no one."""
    world = world.with_replica(index, replica)._replace(state=without_nonce(world.state, nonce_of(index)))
    if world.before:
        state, known = world.before
        world = world._replace(before=(without_nonce(state, nonce_of(index)), known))
    return world


def recorded(record: Record) -> Minted:
    """The token in a record."""
    born, _, text = record.payload.partition(" ")
    reissued = text.endswith(STANDS_BY)
    return Minted(
        record.generation, record.version, record.print, record.provisional, reissued=reissued, born=int(born)
    )


def offered(replica: Replica, token: Minted) -> Replica:
    """Memory takes the token if it is not rejected, by current credentials, and newer than a live one there."""
    held = replica.held
    if token.generation <= replica.barred or token.version < replica.version:
        return replica
    # A dead token holds no place, whatever its number.
    if held.live and token.generation <= held.generation:
        return replica
    return replica._replace(held=token)


def bars(replica: Replica, generation: int, now: int) -> Replica:
    """The store said that this was rejected. A caller asks again for what is gone. `now`: POSTs so far."""
    if generation > replica.barred:
        replica = replica._replace(barred=generation, barred_at=now)
    if not replica.held.generation or replica.held.generation > generation:
        return replica
    replica = replica._replace(barred_text=replica.held.text, held=Minted(), doubts=False)
    return replica.landed(Phase.ASKING) if replica.phase is Phase.DONE else replica


def keeping_steps(acts: Acts, world: World, index: int) -> Iterator[Step]:
    """Whatever the revalidation of a replica without a flight does next."""
    replica, record = world.replicas[index], world.state.record
    lost_rejection = record is not None and record.generation <= replica.barred
    if replica.doubts or lost_rejection:
        yield Step(f"{index} asks the store about its token", confirm(acts, world, index))
    if replica.barred and world.state.meta.barrier >= replica.barred:
        acts.barrier(world, index)  # it looked before another replica raised it
    held = replica.held
    if held.live and held.provisional and not held.unwanted and replica.phase is Phase.DONE:
        yield from _adopt(acts, world, index)
    missing = held.live and not held.provisional and (record is None or record.generation < held.generation)
    if missing and world.left.write_backs:
        after = confirm(acts, world._replace(left=world.left.less(write_backs=1)), index)
        yield Step(f"{index} gives {held.generation} back", after, fault=True)


def confirm(acts: Acts, world: World, index: int) -> World:
    """Ask the store about the token, and mend whichever of the two is behind."""
    replica, record = world.replicas[index]._replace(doubts=False), world.state.record
    world = world.with_replica(index, replica)
    if record is None or record.generation > replica.barred:
        return _compared(acts, world, index, record)
    # The store lost a rejection. What is held here is newer than that: it takes the place of what the store has.
    world = _compared(acts, world, index, None)
    if not world.replicas[index].held.live and _is_successor(replica, recorded(record)):
        return adopt(acts, world, index, recorded(record))
    return acts.barrier(world, index)[0]


def _is_successor(replica: Replica, token: Minted) -> bool:
    """Whether a store that lost its data numbered this token too low: it was minted after the rejection."""
    return token.text != replica.barred_text and token.born > replica.barred_at


def _compared(acts: Acts, world: World, index: int, record: Record | None) -> World:
    replica, stored = world.replicas[index], record.generation if record else 0
    held = replica.held
    if not held.live:
        return world.with_replica(index, offered(replica, recorded(record))) if record else world
    if held.provisional:
        return adopt(acts, world, index, held)
    if record and stored > held.generation:
        return world.with_replica(index, offered(replica, recorded(record)))
    if stored == held.generation:
        return world
    world, answer = acts.commit(world, held, restored=True)
    if answer.word == "REJECTED":
        return world.with_replica(index, bars(world.replicas[index], held.generation, len(world.posts)))
    return world


def adopt(acts: Acts, world: World, index: int, token: Minted) -> World:
    """Get a number for this token, with nothing in between."""
    if world.replicas[index].phase in ACTIVE:
        return world  # its lease is another's to this act
    world = _numbered(acts, world, index, token)
    return _named(acts, world, index)[0] if world.replicas[index].phase is Phase.ADOPTING else world


def _adopt(acts: Acts, world: World, index: int) -> Iterator[Step]:
    held = world.replicas[index].held
    after = _numbered(acts, world, index, held)
    yield Step(f"{index} wants a number for {held.generation}", after)
    if world.left.lost_replies and after.state != world.state:
        alone = over(after, index, world.replicas[index])._replace(left=world.left.less(lost_replies=1))
        yield Step(f"{index} gets a number, reply lost", alone, fault=True)


def _numbered(acts: Acts, world: World, index: int, token: Minted) -> World:
    """ACQUIRE: a lease gives the number."""
    world, reply = acts.acquire(world, index, adopt=token)
    replica = world.replicas[index]
    match reply:
        case Hit(record):
            return over(world, index, offered(replica, recorded(record)))
        case Granted(generation, rejected_print=print):
            adopting = replica._replace(phase=Phase.ADOPTING, generation=generation, rejected_text=print)
            return world.with_replica(index, adopting._replace(token=token))
        case _:
            return world


def name_steps(acts: Acts, world: World, index: int) -> Iterator[Step]:
    """COMMIT under the number that the store gave."""
    after, word = _named(acts, world, index)
    yield Step(f"{index} COMMIT {world.replicas[index].generation}, which it served before: {word}", after)
    if world.left.lost_replies and after.state != world.state:
        before = over(after, index, world.replicas[index].landed(Phase.DONE))
        yield Step(f"{index} COMMIT, reply lost", before._replace(left=world.left.less(lost_replies=1)), fault=True)


def _named(acts: Acts, world: World, index: int) -> tuple[World, str]:
    replica = world.replicas[index]
    before = replica.token
    reissued = before.reissued or before.text == replica.rejected_text
    token = before._replace(generation=replica.generation, served_as=before.generation, provisional=False)
    token = token._replace(reissued=reissued)
    laws.require(before.provisional or reissued or token.text not in world.gone, laws.TEXT, f"{token.text} in memory")
    world, answer = acts.commit(world, token, restored=True)
    replica = replica.landed(Phase.DONE if replica.held.live else Phase.ASKING)
    if isinstance(answer, Committed) and before.provisional and before.generation <= replica.barred:
        # It was rejected under the number that it had.
        world, _ = acts.reject(world, token.generation)
        world, replica = withdrawn(world, token.generation), bars(replica, token.generation, len(world.posts))
    elif isinstance(answer, Committed):
        replica = offered(replica, token)
        replica = replica._replace(phase=Phase.DONE if replica.held.live else Phase.ASKING)
    elif answer.word == "OLD_CREDENTIALS" and replica.held == before:
        replica = replica._replace(held=before._replace(unwanted=True))
    return over(world, index, replica), answer.word


def reject(acts: Acts, world: World, index: int, generation: int) -> tuple[World, Rejection]:
    """A caller says to this replica that the generation was refused."""
    if world.replicas[index].held.provisional:
        world = confirm(acts, world, index)
    held = world.replicas[index].held
    is_held = held.called(generation)
    world, answer = acts.reject(world, *_aim(held, generation))
    if is_held and answer.word in ("OTHER", "UNKNOWN"):
        world = confirm(acts, world, index)  # the store lost it; or the fleet has another one by now
        world, answer = acts.reject(world, *_aim(world.replicas[index].held, generation))
    if answer.word == "CURRENT":
        return world.with_replica(index, bars(world.replicas[index], answer.generation, len(world.posts))), answer
    if answer.word == "TOO_SOON":
        return world, answer
    held = world.replicas[index].held
    if held.called(generation):  # the store does not take it, or not yet
        world = withdrawn(world, held.generation)
        world = world.with_replica(index, bars(world.replicas[index], held.generation, len(world.posts)))
    return world, answer


def _aim(held: Minted, generation: int) -> tuple[int, str]:
    """The number, and the text if it is here."""
    return generation, held.text if held.called(generation) else ""
