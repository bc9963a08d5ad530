"""The acts as the search performs them: each one twice, to see that the second time changes nothing."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from model import laws, scripts
from model.laws import require
from model.values import Acquired, Backoff, Committed, Granted, Hit, Outcome, Raised, Refused, Rejection, State, Wait
from model.values import Token as Sent
from model.world import BEHIND, HORIZON, MIN_INTERVAL, START, Minted, World, nonce_of, withdrawn

T = TypeVar("T")

STANDS_BY = "!"
"""Marks the payload of a text that the issuer gave again after its rejection."""


class Scripts(NamedTuple):
    """The functions of scripts.py, or mutants of them."""

    acquire: Callable[..., Outcome[Acquired]] = scripts.acquire
    commit: Callable[..., Outcome[Committed | Refused]] = scripts.commit
    fail: Callable[..., Outcome[bool]] = scripts.fail
    reject: Callable[..., Outcome[Rejection]] = scripts.reject
    barrier: Callable[..., Outcome[Raised]] = scripts.barrier


class Acts:
    """Performs acts on a world, and keeps the laws that bear on the store."""

    def __init__(self, acts: Scripts, *, remember: bool) -> None:
        self._scripts = acts
        self._remember = remember

    def acquire(self, world: World, index: int, *, adopt: Minted | None = None) -> tuple[World, Acquired]:
        """A replica asks, for a token newer than what it knows to be rejected or over; or (`adopt`) for a number."""
        replica, nonce = world.replicas[index], nonce_of(index)
        version, newer_than = replica.version, max(replica.barred, replica.newer_than, replica.over)
        if adopt:
            version, newer_than = adopt.version, max(replica.barred, replica.held.generation, adopt.generation)

        def ask(state: State) -> Outcome[Acquired]:
            return self._scripts.acquire(
                state,
                world.now,
                nonce=nonce,
                lease=HORIZON - world.now,
                version=version,
                newer_than=newer_than,
                min_ttl=0,
                clock=world.now,
                adopt=adopt is not None,
            )

        outcome = ask(world.state)
        _same_again(outcome, ask(outcome.state), outcome.reply)
        after = self._after(world, outcome)
        laws.judge_lease(world.state, outcome.state, 0, nonce)
        _judge_answer(world, nonce, version, newer_than, outcome.reply, adopt=adopt is not None)
        if isinstance(outcome.reply, Granted) and outcome.state.lease != world.state.lease:
            version, highest = max(world.known.version, version), outcome.reply.generation
            after = after._replace(known=world.known._replace(version=version, highest=highest))
        return after, outcome.reply

    def commit(self, world: World, token: Minted, *, restored: bool = False) -> tuple[World, Committed | Refused]:
        """A replica brings a token."""
        require(not token.provisional, laws.ADOPTED, f"{token.generation} is no number of the store's")

        def tell(state: State, text: str) -> Outcome[Committed | Refused]:
            left = 0 if token.dead else HORIZON - world.now
            payload, times = f"{token.born} {text}{STANDS_BY * token.reissued}", (left, HORIZON, 0, left)
            sent = Sent(token.generation, token.version, *times, payload, text, token.served_as)
            return self._scripts.commit(state, world.now, sent, restored=restored)

        outcome = tell(world.state, token.text)
        same = outcome.reply._replace(word="DUP") if isinstance(outcome.reply, Committed) else outcome.reply
        _same_again(outcome, tell(outcome.state, token.text), same)
        other = tell(outcome.state, "another text")
        require(isinstance(other.reply, Refused), laws.SAME_TEXT, f"{token.generation}: {other.reply}")
        laws.judge_lease(world.state, outcome.state, token.generation, "")
        left_over = outcome.state.lease is not None and outcome.state.lease.generation == token.generation
        require(not left_over, laws.NO_LEASE_LEFT, f"the lease on {token.generation} after {outcome.reply}")
        known = laws.judge_record(world.state, outcome.state, world.known, token)
        if outcome.wake and not restored:
            known = known._replace(closed=0, while_live=False)
        if outcome.wake and known.fresh and outcome.state.meta.rejected_at + MIN_INTERVAL > world.now:
            number = {"generation": token.generation, "text": "", "min_interval": MIN_INTERVAL}
            raised = self._scripts.barrier(outcome.state, world.now, **number).reply
            require(raised.word == "TOO_SOON", laws.INTERVAL, f"a barrier to {token.generation}: {raised}")
        after = self._after(world, outcome)._replace(known=known)
        if outcome.reply == Refused("REJECTED") and restored:
            after = withdrawn(after, token.generation)
        return after, outcome.reply

    def fail(self, world: World, index: int, *, while_live: bool = False) -> World:
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
                while_live=while_live,
            )

        outcome = tell(world.state)
        _same_again(outcome, tell(outcome.state), False)
        laws.judge_lease(world.state, outcome.state, replica.generation, nonce)
        after = self._after(world, outcome)
        known = world.known._replace(closed=replica.version, while_live=while_live)
        return after._replace(known=known) if outcome.reply else after

    def reject(self, world: World, generation: int, text: str = "") -> tuple[World, Rejection]:
        """A caller says that this generation was refused."""

        def tell(state: State, number: int) -> Outcome[Rejection]:
            return self._scripts.reject(state, world.now, generation=number, min_interval=MIN_INTERVAL, text=text)

        outcome, record, known = tell(world.state, generation), world.state.record, world.known
        unknown, took = outcome.reply.word == "UNKNOWN", outcome.state != world.state
        aimed = record is not None and generation in (record.generation, record.provisional)
        if record and took:
            above = record.generation < generation == world.state.meta.generation
            require(aimed or above, laws.AIM, f"{record.generation} dropped, {generation} named")
        if generation > known.highest:
            require(unknown and outcome.state == world.state, laws.NEVER_WAS, f"{generation}: {outcome.reply}")
        require(not unknown or generation > known.highest, laws.GIVEN_OUT, f"{generation}: {outcome.reply}")
        newest = max(record.generation if record else 0, world.state.meta.barrier)
        if newest < generation == world.state.meta.generation:
            require(outcome.reply.word in ("CURRENT", "TOO_SOON"), laws.NOT_LOST, f"{generation}: {outcome.reply}")
        if took:
            require(not known.fresh, laws.INTERVAL, f"{generation} dropped within the interval")
        elif record and generation == known.served_as:
            require(outcome.reply.word == "TOO_SOON", laws.NAMED, f"{generation}: {outcome.reply}")
        _same_again(outcome, tell(outcome.state, generation), outcome.reply)
        after = self._after(world, outcome)
        if outcome.reply.word == "CURRENT":
            after = withdrawn(after, outcome.reply.generation)
        if took:
            floor = max(known.floor, outcome.state.meta.generation)
            text = record.print if record and aimed else text
            known = known._replace(floor=floor, rejected_text=text, fresh=True, served_as=0)
            after = after._replace(gone=tuple(sorted({*after.gone, text} - {""})))
        return after._replace(known=known), outcome.reply

    def barrier(self, world: World, index: int) -> tuple[World, Raised]:
        """A replica says what it knows to be rejected."""
        replica = world.replicas[index]
        generation, text = replica.barred, replica.barred_text

        def tell(state: State) -> Outcome[Raised]:
            return self._scripts.barrier(state, world.now, generation=generation, text=text, min_interval=MIN_INTERVAL)

        outcome, (record, lease, _) = tell(world.state), world.state
        _same_again(outcome, tell(outcome.state), outcome.reply)
        after, known = self._after(world, outcome), world.known
        there = world.state.meta.barrier >= generation
        require(not there or outcome.state == world.state, laws.ONE_FALL, f"{generation} was barred already")
        if outcome.state == world.state:
            return after, outcome.reply
        if lease and lease.generation > generation:
            require(outcome.state.lease == lease, laws.HOLDER, f"the lease on {lease.generation}, by {generation}")
        if record and outcome.state.record != record:
            require(record.generation <= generation, laws.AIM, f"{record.generation} dropped, up to {generation} named")
            require(not known.fresh, laws.INTERVAL, f"{record.generation} dropped within the interval")
            require(generation not in known.fallen, laws.ONE_FALL, f"another one to {generation}")
            later = int(record.payload.partition(" ")[0]) > replica.barred_at and record.print != text
            require(not later or replica.held.live, laws.SUCCESSOR, f"{record.generation} to {generation}")
            known = known._replace(fresh=True, fallen=(*known.fallen, generation), served_as=0)
        below = (outcome.state.record, outcome.state.lease)
        require(not any(one and one.generation <= generation for one in below), laws.REJECTED, f"{below}")
        highest, floor = max(known.highest, generation), max(known.floor, generation)
        return after._replace(known=known._replace(floor=floor, highest=highest, rejected_text=text)), outcome.reply

    def _after(self, world: World, outcome: Outcome[T]) -> World:
        before = world.before
        if self._remember and outcome.state != world.state:
            before = (world.state, world.known)
        return world._replace(state=outcome.state, before=before)


def _same_again(outcome: Outcome[T], again: Outcome[T], reply: T) -> None:
    require(
        again.state == outcome.state and again.reply == reply, laws.REPEATED, f"{outcome.reply}, then {again.reply}"
    )


def _judge_answer(world: World, nonce: str, version: int, newer_than: int, reply: Acquired, *, adopt: bool) -> None:
    record, lease, _ = world.state
    live = record is not None and record.version >= version
    match reply:
        case Hit(record):
            ok = record.generation > max(newer_than, world.known.floor) and record.version >= version
            require(ok, laws.HIT, f"generation {record.generation}, version {record.version}")
        case Wait():
            require(lease is not None and lease.nonce != nonce, laws.OWN_LEASE, nonce)
        case Granted() if lease is None and not adopt:
            shut = world.known.closed >= version and (live or not world.known.while_live)
            require(not shut, laws.BACK_OFF, f"to {nonce} with version {version}")
        case Backoff():
            require(not adopt, laws.ADOPTED, f"BACKOFF to {nonce}")
            require(live or not world.known.while_live, laws.WHILE_LIVE, f"BACKOFF to {nonce}")
        case Granted():
            pass
    if isinstance(reply, Granted):
        told = (reply.rejected_print, reply.live_print)
        known = (world.state.meta.rejected_print, record.print if record and live else "")
        require(told == known, laws.TOLD, f"{told}, not {known}")


assert START > BEHIND > MIN_INTERVAL
