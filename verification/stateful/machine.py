"""Random acts in random order, on the real scripts and on the model: the same answers, and the same in the store.

Time is not waited for: what lapses is made to lapse, in the server, and the model goes on from what is there.
"""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

from hypothesis import assume, strategies
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from model import scripts
from model.values import Acquired, Committed, Outcome, Raised, Refused, Rejection, State
from stateful.comparing import SLACK, differences
from stateful.memory_side import MemorySide
from stateful.store_side import HASH, LEASE, LEASE_SECONDS, META, RECORD, Look, StoreSide
from stateful.translating import as_acquired, as_committed, as_raised, as_rejection, as_token, ms

from mintonce_server.core import ports
from mintonce_server.core.errors import Reason
from mintonce_server.core.secret import Secret
from mintonce_server.core.token import Minted, Token
from support.samples import KEY

T = TypeVar("T")
M = TypeVar("M")

NONCES = strategies.sampled_from(["one", "two"])
VERSIONS = strategies.sampled_from([1, 1, 1, 1, 1, 1, 2])
"""Seldom the new secret: from then on little is left to happen with the old one."""
TEXTS = strategies.sampled_from(["a-token", "another-token"])
LIFETIME = 1000.0
# Seconds since the mint: fresh, half gone, inside the leeway, over. Nothing comes near an end while a slow test runs.
AGES = strategies.sampled_from([0.0, 0.0, 550.0, 980.0, 1010.0])
AHEAD = 1_000_000_000
"""Milliseconds."""
NEWER = strategies.sampled_from([None, None, 0, 0, 3 * AHEAD])
"""Than nothing, than the current one, than any that the server knows of."""
MIN_TTLS = strategies.sampled_from([0.0, 0.0, 480.0, 10_000.0])
BACK_OFFS = strategies.sampled_from([0.0, 300.0])
INTERVALS = strategies.sampled_from([0.0, 300.0])
LATE = strategies.sampled_from([0.0, 0.0, 5.0, LIFETIME])
"""Seconds that a commit was on its way."""
RAISED_PRINT = "the print of a token that was rejected before"
SELDOM = strategies.sampled_from([False, False, False, True])
NEVER_WAS = (AHEAD // 10, 2**53 - 1, 2**62)
"""What is added to the highest generation that was given out."""
TIMES = strategies.sampled_from([1, 1, 2])
"""How often an act is said: twice, as after a lost reply."""


class Moment(NamedTuple):
    """By the server's clock in ms and, as generations count, in µs; by this process's own in seconds."""

    now: int
    here: float
    clock: int


Model = Callable[[State, Moment], Outcome[M]]


class ScriptsMachine(RuleBasedStateMachine):
    """One key, a few nonces. `side` is given by the test."""

    side: StoreSide | MemorySide

    def __init__(self) -> None:
        super().__init__()
        self.side.command("FLUSHALL")
        self.side.heard()
        self.seen: Look = self.side.look()
        self.began = 0.0
        self.leases: list[ports.Lease] = []
        self.generations = [1]

    @rule(nonce=NONCES, version=VERSIONS, newer=NEWER, min_ttl=MIN_TTLS, times=TIMES, adopt=SELDOM)
    def acquire(self, nonce: str, version: int, newer: int | None, min_ttl: float, times: int, adopt: bool) -> None:
        """A replica asks, now and then for a newer token than there is, or for a number for one that it has."""
        record = self.seen.state.record
        newer_than = (record.generation if record else 1) + newer if newer is not None else 0
        asked = ports.AcquireRequest(nonce, version, newer_than, min_ttl, adopt)

        def model(state: State, moment: Moment) -> Outcome[Acquired]:
            return scripts.acquire(
                state,
                moment.now,
                nonce=nonce,
                lease=ms(LEASE_SECONDS),
                version=version,
                newer_than=newer_than,
                min_ttl=ms(min_ttl),
                clock=moment.clock,
                adopt=adopt,
            )

        for _ in range(times):
            read = partial(self._acquired, now=self.seen.now)
            answer = self.act(model, self.side.store.acquire(KEY, asked), read)
            if isinstance(answer, ports.Lease):
                self.leases.append(answer)
                self.generations.append(answer.generation)

    @precondition(lambda self: self.leases)
    @rule(data=strategies.data(), age=AGES, text=TEXTS, times=TIMES)
    def commit(self, data: strategies.DataObject, age: float, text: str, times: int) -> None:
        """A replica that has or had a lease brings a token."""
        lease = data.draw(strategies.sampled_from(self.leases[-3:]))
        minted = Minted(Secret(text), "Bearer", LIFETIME, self.side.clock.monotonic() - age, ("read",))
        token = lease.token(minted, HASH)
        for _ in range(times):
            self.act(self._commits(token, restored=False), self.side.store.commit(lease, minted), as_committed)

    @rule(data=strategies.data(), age=AGES, text=TEXTS, version=VERSIONS, times=TIMES, late=LATE, alone=SELDOM)
    def restore(
        self, data: strategies.DataObject, age: float, text: str, version: int, times: int, late: float, alone: bool
    ) -> None:
        """A replica gives a token back; it may come late, while the token ages. `alone`: it was served before."""
        generation = data.draw(strategies.sampled_from(self.generations[-4:]))
        minted = Minted(Secret(text), "Bearer", LIFETIME, self.side.clock.monotonic() - age, ("read",))
        clocks = self.seen.now / 1000 - self.side.clock.monotonic() - late
        token = Token.of(minted, KEY, HASH, generation, version, clocks)
        if alone:
            served_as = data.draw(strategies.sampled_from([max(1, generation - 1), generation + AHEAD]))
            token = replace(token, served_as=served_as)
            self.generations.append(served_as)
        for _ in range(times):
            self.act(self._commits(token, restored=True), self.side.store.restore(token), as_committed)

    def _acquired(self, answer: ports.Acquired, now: int) -> Acquired:
        return as_acquired(answer, self.began, now)

    def _commits(self, token: Token, *, restored: bool) -> Model[Committed | Refused]:
        act = scripts.restore if restored else scripts.commit
        return lambda state, moment: act(state, moment.now, as_token(token, moment.here))

    @precondition(lambda self: self.leases)
    @rule(
        data=strategies.data(),
        retry=BACK_OFFS,
        times=TIMES,
        while_live=strategies.booleans(),
        own=strategies.booleans(),
    )
    def fail(self, data: strategies.DataObject, retry: float, times: int, while_live: bool, own: bool) -> None:
        """A replica that has or had a lease tells a failure."""
        lease = data.draw(strategies.sampled_from(self.leases[-3:]))
        failure = ports.Failure(Reason.ISSUER_REFUSED, "invalid_client", while_live, of_issuer=not own)

        def model(state: State, moment: Moment) -> Outcome[bool]:
            return scripts.fail(
                state,
                moment.now,
                nonce=lease.nonce,
                generation=lease.generation,
                retry=ms(retry),
                failure=f"{failure.reason} {failure.issuer_error}",
                version=lease.credential_version,
                while_live=while_live,
                own=own,
            )

        for _ in range(times):
            self.act(model, self.side.store.fail(lease, failure, retry), None)

    @precondition(lambda self: self.leases)
    @rule(data=strategies.data(), times=TIMES)
    def renew(self, data: strategies.DataObject, times: int) -> None:
        """A replica that has or had a lease holds it longer."""
        lease = data.draw(strategies.sampled_from(self.leases[-3:]))

        def model(state: State, moment: Moment) -> Outcome[bool]:
            return scripts.renew(
                state, moment.now, nonce=lease.nonce, generation=lease.generation, lease=ms(LEASE_SECONDS)
            )

        for _ in range(times):
            self.act(model, self.side.store.renew(lease), lambda held: held is not None)

    @rule(data=strategies.data(), interval=INTERVALS, times=TIMES)
    def reject(self, data: strategies.DataObject, interval: float, times: int) -> None:
        """A caller rejects any generation that ever was, mostly the current one, or one that never was."""
        record, highest = self.seen.state.record, max(self.generations)
        current = [record.generation, record.generation, record.provisional or record.generation] if record else []
        never = highest + data.draw(strategies.sampled_from(NEVER_WAS))
        generation = data.draw(strategies.sampled_from([*self.generations[-3:], *current, never]))

        def model(state: State, moment: Moment) -> Outcome[Rejection]:
            return scripts.reject(state, moment.now, generation=generation, min_interval=ms(interval))

        for _ in range(times):
            self.act(model, self.side.store.reject(KEY, generation, interval), as_rejection)

    @rule(data=strategies.data(), interval=INTERVALS, times=TIMES, ahead=SELDOM)
    def raise_barrier(self, data: strategies.DataObject, interval: float, times: int, ahead: bool) -> None:
        """A replica remembers the rejection of any generation; `ahead`: of one that the server lost."""
        below = [record.generation - 1] if (record := self.seen.state.record) and record.generation > 1 else []
        generation = data.draw(strategies.sampled_from([*self.generations[-3:], *below])) + (AHEAD if ahead else 0)

        def model(state: State, moment: Moment) -> Outcome[Raised]:
            return scripts.barrier(
                state, moment.now, generation=generation, text=RAISED_PRINT, min_interval=ms(interval)
            )

        for _ in range(times):
            act = self.side.store.raise_barrier(KEY, generation, RAISED_PRINT, interval)
            self.act(model, act, as_raised)

    @precondition(lambda self: self.seen.state.lease)
    @rule(keep=strategies.booleans())
    def a_lease_ages(self, keep: bool) -> None:
        """Half of it, or all."""
        self.force("PEXPIRE", LEASE, ms(LEASE_SECONDS) // 2 if keep else 0)

    @precondition(lambda self: self.seen.state.record)
    @rule()
    def a_record_expires(self) -> None:
        """Before its time."""
        self.force("PEXPIRE", RECORD, 0)

    @precondition(lambda self: self.seen.state.meta.until)
    @rule()
    def the_back_off_is_over(self) -> None:
        """By the server's clock."""
        self.force("HSET", META, "until", self.seen.now - 1)

    @precondition(lambda self: self.seen.state.meta.rejected_at)
    @rule()
    def the_interval_between_rejections_is_over(self) -> None:
        """By the server's clock."""
        self.force("HSET", META, "rejected_at", self.seen.now - 301_000)

    @precondition(lambda self: self.seen.state.meta.generation)
    @rule()
    def the_clock_was_ahead(self) -> None:
        """So that the last generation is higher than the time of day, as after a failover to another host."""
        self.force("HSET", META, "f", self.seen.now * 1000 + AHEAD)

    @rule(everything=strategies.booleans())
    def something_is_lost(self, everything: bool) -> None:
        """All data, or what the server knows of the scripts."""
        before = self.seen
        self.force(*(("FLUSHALL",) if everything else ("SCRIPT", "FLUSH")))
        while self.seen.now <= before.now:  # by the time a lost store is back, its clock has gone on
            self.seen = self.side.look()

    def force(self, *words: str | int) -> None:
        """Change what is there, behind the back of all. The model goes on from it."""
        self.side.command(*words)
        self.seen = self.side.look()

    def act(
        self,
        model: Model[M],
        real: Coroutine[Any, Any, T],
        read: Callable[[T], object] | None,
    ) -> T:
        """Do it for real; compare the answer (unless `read` is None), the store, and what the fleet was told."""
        before, self.began = self.seen, self.side.clock.monotonic()
        answer = self.side.run(real)
        ended = self.side.clock.monotonic()
        self.seen = self.side.look()
        # The shortest and the longest that a life can come out.
        early = model(before.state, Moment(before.now, ended, before.now * 1000))
        late = model(before.state, Moment(self.seen.now, self.began, self.seen.now * 1000 + 999))
        assume(type(early.reply) is type(late.reply))  # what lapses just now proves nothing
        slack = SLACK + ms(ended - self.began)
        found = [*differences(self.seen.state, early.state, late.state, "store", slack)]
        if read is not None:
            found += differences(read(answer), _shown(early.reply), _shown(late.reply), "reply", slack)
        told = [ports.Wake(ports.WakeKind(early.wake[0]), HASH, early.wake[1])] if early.wake else []
        heard = self.side.heard()
        if heard != told:
            found.append(f"told {heard}, not {told}")
        assert not found, f"{found}\nbefore: {before.state}\nmodel: {early}\nreal: {self.seen.state}, {answer}"
        return answer


def _shown(reply: object) -> object:
    """What of the model's reply comes through the store's port."""
    if isinstance(reply, Committed):
        return reply._replace(word="OK")  # what is published distinguishes a DUP from it
    return reply.word if isinstance(reply, Raised) else reply
