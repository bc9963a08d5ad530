"""The end of a run: all is mended, and the fleet must recover, settle, and leave nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Final

from simulate import product
from simulate.acts import Call
from simulate.issuer import TIMEOUT, Mode
from simulate.ledger import Stage
from simulate.network import Mood, Weather

from mintonce_server.core.errors import MintonceError
from mintonce_server.core.key import TokenKey

if TYPE_CHECKING:
    from simulate.fleet import Fleet

WITHIN: Final = 15.0
"""Seconds after the end of all troubles and back-offs: a mint's deadline, a lease, a failover."""
LONGEST_BACK_OFF: Final = 61.0
QUIET: Final = 16.0
"""Seconds in which replicas hear of each other's tokens and give up what is not in use."""
IDLE_LEASE: Final = 4
"""Seconds after which a lease without a POST has been forgotten by its holder."""
LEAVING: Final = 7.0
PROBE_MAX: Final = 7.0
"""Seconds that a replica gets for one answer: a call at one that is gone never ends."""


class Recovery:
    """H9 to H11 after the last trouble."""

    def __init__(self, fleet: "Fleet") -> None:
        self._fleet = fleet
        self._world = fleet.world

    async def run(self) -> None:
        """To the end of every replica."""
        self._mend()
        await self._recover()
        await asyncio.sleep(QUIET)
        await self._agree()
        await self._nothing_left()
        await self._leave()

    def _mend(self) -> None:
        fleet = self._fleet
        self._world.trace("mended")
        self._world.armed.clear()
        fleet.face.turn(Mood.WELL)
        fleet.issuer.mode = Mode.WELL
        for key in fleet.keys:
            fleet.issuer.lifetimes[key] = max(fleet.issuer.lifetimes[key], 60.0)
        for node in fleet.nodes:
            node.link.weather = Weather()
            node.resume()
            if not node.state.is_up:
                node.start()
        fleet.reconnected()

    async def _recover(self) -> None:
        """Each replica must serve each key, unmarked, within a bound."""
        fleet, began = self._fleet, self._world.now
        missing = [(node, key) for node in range(len(fleet.nodes)) for key in range(len(fleet.keys))]
        said = ""
        while missing and self._world.now < max(began, self._back_offs_end()) + WITHIN:
            for place in list(missing):
                problem, _ = await self._ask(*place)
                if problem:
                    said = problem
                else:
                    missing.remove(place)
            await asyncio.sleep(1.0)
        for node, key in missing:
            took = self._world.now - began
            what = f"node {node} serves no good token for key {key}, {took:.0f} s after all is well: {said}"
            self._world.broken("H10", what)

    def _back_offs_end(self) -> float:
        """When the last mint that failed may be tried again; what is under way may still fail."""
        ends = [0.0]
        for chain in self._fleet.ledger.entries.values():
            for entry in chain:
                if (entry.stage is Stage.FAILED or entry.is_short) and entry.number:
                    ends.append(entry.ended + max(entry.retry, LONGEST_BACK_OFF))
                elif entry.stage is Stage.OPEN:
                    ends.append(entry.at + TIMEOUT + LONGEST_BACK_OFF)
        return max(ends)

    async def _ask(self, node: int, key: int) -> tuple[str, str]:
        """What is wrong with the answer, and the token's text."""
        fleet = self._fleet
        broker = fleet.nodes[node].broker
        if broker is None:
            return "it is not up", ""
        call = Call(fleet, fleet.nodes[node], broker, fleet.keys[key])
        answers: list[tuple[str, str]] = []
        call.start("get", _probe(answers), 6.0, 5.0, None)
        if call.task is not None:
            await asyncio.wait([call.task], timeout=PROBE_MAX)
        return answers[0] if answers else ("no answer", "")

    async def _agree(self) -> None:
        """All replicas serve the same token, unless their credentials differ."""
        fleet = self._fleet
        if self._world.credentials_differ:
            return
        for number, key in enumerate(fleet.keys):
            if key in self._world.doubled:
                continue
            texts = [(await self._ask(node, number))[1] for node in range(len(fleet.nodes))]
            if len(set(texts)) > 1 and not self._is_changing(key):
                self._world.broken("H10", f"the replicas serve different tokens for {key.audience}: {texts}")

    def _is_changing(self, key: TokenKey) -> bool:
        """Whether a successor was minted within the last seconds, so that it is on its way."""
        return any(entry.ended > self._world.now - 3.0 for entry in self._fleet.ledger.entries.get(key, ()))

    async def _nothing_left(self) -> None:
        fleet = self._fleet
        idle = set(self._idle_leases())
        for _ in range(IDLE_LEASE):
            await asyncio.sleep(1.0)
            idle &= set(self._idle_leases())
        for name, nonce in sorted(idle):
            self._world.broken("H11", f"a lease for {fleet.laws.keys[name].audience} is held without a POST: {nonce}")
        for call in fleet.calls.values():
            if call.what != "watch":
                self._world.broken("H9", f"a {call.what} at node {call.node.state.index} is still under way")

    def _idle_leases(self) -> Iterator[tuple[str, str]]:
        for name, nonce in self._fleet.view.leases():
            chain = self._fleet.ledger.entries.get(self._fleet.laws.keys[name], ())
            if not any(entry.stage is Stage.OPEN for entry in chain):
                yield name, nonce

    async def _leave(self) -> None:
        self._fleet.ending = True
        for node in self._fleet.nodes:
            node.leave()
        await asyncio.sleep(LEAVING)
        for node in self._fleet.nodes:
            if node.state.is_up:
                self._world.broken("H9", f"node {node.state.index} does not leave")


def _probe(answers: list[tuple[str, str]]) -> Callable[[Call], Awaitable[None]]:
    async def probe(call: Call) -> None:
        try:
            served = await product.get(call.broker, call.key, 0.0, 5.0)
        except MintonceError as error:
            answers.append((f"{error.reason} ({error})", ""))
            return
        call.served(served)
        text = served.token.access_token.reveal()
        # A token that the issuer repeated is marked to its end: there is none better.
        bad = served.degraded and text not in call.fleet.world.repeated
        answers.append(("degraded" if bad else "", text))

    return probe
