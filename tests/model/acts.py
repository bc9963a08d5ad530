"""The acts as the search performs them: each one twice, to see that the second time changes nothing."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from model import laws, scripts
from model.laws import require
from model.values import Acquired, Backoff, Committed, Granted, Hit, Outcome, Refused, Rejection, State, Token, Wait
from model.world import HORIZON, MIN_INTERVAL, START, Minted, Replica, World, nonce_of

T = TypeVar("T")


class Scripts(NamedTuple):
    """The functions of scripts.py, or mutants of them."""

    acquire: Callable[..., Outcome[Acquired]] = scripts.acquire
    commit: Callable[..., Outcome[Committed | Refused]] = scripts.commit
    fail: Callable[..., Outcome[bool]] = scripts.fail
    reject: Callable[..., Outcome[Rejection]] = scripts.reject


class Done(NamedTuple):
    """The world after an act, and what was answered."""

    world: World
    reply: Acquired | Committed | Refused | Rejection | bool


class Acts:
    """Performs acts on a world, and keeps the laws that bear on the store."""

    def __init__(self, acts: Scripts, *, remember: bool) -> None:
        self._scripts = acts
        self._remember = remember

    def acquire(self, world: World, index: int) -> tuple[World, Acquired]:
        """A replica asks, for a token newer than all it knows to be rejected."""
        replica, nonce = world.replicas[index], nonce_of(index)

        def ask(state: State) -> Outcome[Acquired]:
            return self._scripts.acquire(
                state,
                world.now,
                nonce=nonce,
                lease=HORIZON - world.now,
                version=replica.version,
                newer_than=replica.barred,
                min_remaining=0,
            )

        outcome = ask(world.state)
        _same_again(outcome, ask(outcome.state), outcome.reply)
        after = self._after(world, outcome)
        laws.judge_lease(world.state, outcome.state, 0, nonce)
        _judge_answer(world, replica, nonce, outcome.reply)
        if isinstance(outcome.reply, Granted) and outcome.state.lease != world.state.lease:
            known = world.known._replace(version=max(world.known.version, replica.version))
            after = after._replace(known=known)
        return after, outcome.reply

    def commit(self, world: World, minted: Minted, *, restored: bool = False) -> tuple[World, Committed | Refused]:
        """Somebody brings a token."""
        left = HORIZON - world.now
        token = Token(minted.generation, minted.version, left, HORIZON, 0, left, minted.text, minted.text)
        outcome = self._scripts.commit(world.state, world.now, token, restored=restored)
        again = self._scripts.commit(outcome.state, world.now, token, restored=restored)
        same = outcome.reply._replace(word="DUP") if isinstance(outcome.reply, Committed) else outcome.reply
        _same_again(outcome, again, same)
        laws.judge_lease(world.state, outcome.state, minted.generation, "")
        left_over = outcome.state.lease is not None and outcome.state.lease.generation == minted.generation
        require(not left_over, laws.NO_LEASE_LEFT, f"the lease on {minted.generation} after {outcome.reply}")
        known = laws.judge_record(world.state, outcome.state, world.known)
        if outcome.wake and not restored:
            known = known._replace(closed=0)
        return self._after(world, outcome)._replace(known=known), outcome.reply

    def fail(self, world: World, index: int) -> World:
        """The replica's mint failed."""
        replica, nonce = world.replicas[index], nonce_of(index)

        def tell(state: State) -> Outcome[bool]:
            return self._scripts.fail(
                state,
                world.now,
                nonce=nonce,
                generation=replica.generation,
                retry=HORIZON - world.now,
                failure="no",
                version=replica.version,
            )

        outcome = tell(world.state)
        _same_again(outcome, tell(outcome.state), False)
        laws.judge_lease(world.state, outcome.state, replica.generation, nonce)
        after = self._after(world, outcome)
        return after._replace(known=world.known._replace(closed=replica.version)) if outcome.reply else after

    def reject(self, world: World, generation: int) -> tuple[World, Rejection]:
        """Somebody says that this generation was refused."""

        def tell(state: State) -> Outcome[Rejection]:
            return self._scripts.reject(state, world.now, generation=generation, min_interval=MIN_INTERVAL)

        outcome, record = tell(world.state), world.state.record
        if record and outcome.state.record != record:
            aimed = generation in (record.generation, record.provisional)
            require(aimed, laws.AIM, f"{record.generation} dropped, {generation} named")
        _same_again(outcome, tell(outcome.state), outcome.reply)
        after = self._after(world, outcome)
        if record is None or outcome.state.record == record:
            return after, outcome.reply
        require(not world.known.fresh, laws.INTERVAL, f"{generation} dropped within the interval")
        floor = max(world.known.floor, world.state.meta.generation, generation)
        known = world.known._replace(floor=floor, rejected_text=record.print, fresh=True)
        return after._replace(known=known, rejections=world.rejections + 1), outcome.reply

    def _after(self, world: World, outcome: Outcome[T]) -> World:
        before = world.before
        if self._remember and outcome.state != world.state:
            before = (world.state, world.known)
        return world._replace(state=outcome.state, before=before)


def _same_again(outcome: Outcome[T], again: Outcome[T], reply: T) -> None:
    require(
        again.state == outcome.state and again.reply == reply, laws.REPEATED, f"{outcome.reply}, then {again.reply}"
    )


def _judge_answer(world: World, replica: Replica, nonce: str, reply: Acquired) -> None:
    lease = world.state.lease
    match reply:
        case Hit(record):
            ok = record.generation > max(replica.barred, world.known.floor) and record.version >= replica.version
            require(ok, laws.HIT, f"generation {record.generation}, version {record.version}")
        case Wait():
            require(lease is not None and lease.nonce != nonce, laws.OWN_LEASE, nonce)
        case Granted() if lease is None:
            shut = world.known.closed >= replica.version
            require(not shut, laws.BACK_OFF, f"to {nonce} with version {replica.version}")
        case Granted() | Backoff():
            pass


assert START > MIN_INTERVAL
