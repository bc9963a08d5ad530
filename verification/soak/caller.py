"""One client process of a soak: `python -m soak.caller SPEC`. It calls until SIGTERM and writes each call down.

A line is a JSON object: `call` has the fields of history.records.Call, `unreal` says whether a rejection named a
generation that never was.
"""

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, TypedDict

from chaos.machine import Pulse, pulse
from chaos.rig import CLIENT
from chaos.workload import WATCH_AGAIN, Called, Callers
from history.checker import Call
from soak.keys import LONG, RARE, SHORT, UNTOUCHED

from mintonce import AsyncTokenClient, MintonceError

CALLERS: Final = 6
WATCHES: Final = 3
PAUSE: Final = (0.05, 0.3)
DEADLINES: Final = (1.0, 2.0, 5.0)
NEVER_ENDED: Final = "NEVER_ENDED"
"""Status of a call that was still there long after its deadline."""
UNTYPED: Final = "UNTYPED"
"""Status of a call that raised what is no MintonceError; `reason` is the type."""
GRACE: Final = 5.0
REJECTED: Final = 0.03
"""Share of the tokens that are rejected by who got them."""
UNREAL: Final = 0.02
"""Share of calls after which a generation is rejected that never was."""
WATCHED_FOR: Final = (3.0, 30.0)
FLUSH_EVERY: Final = 1.0


class Spec(TypedDict):
    """`targets`: addresses by name; `output`: a file."""

    targets: dict[str, str]
    seed: str
    output: str


@dataclass(frozen=True)
class Target:
    """A replica at its address."""

    name: str
    client: AsyncTokenClient


class Crowd(Callers):
    """Callers and watches that go on until they are told to end."""

    def __init__(self, members: Sequence[Called], chance: random.Random, beat: Pulse, output: Path) -> None:
        super().__init__(members)
        self._chance = chance
        self._pulse = beat
        self._output = output
        self._unreal: list[Call] = []
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Calls under way are brought to their end."""
        self._ending.set()

    async def run(self) -> None:
        """Until `end`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(self._calls(random.Random(self._chance.random())))
            watching = [group.create_task(self._watches(random.Random(self._chance.random()))) for _ in range(WATCHES)]
            while not self._ending.is_set():
                await asyncio.sleep(FLUSH_EVERY)
                self._flush()
            for task in watching:
                task.cancel()
        self._flush()

    async def _calls(self, chance: random.Random) -> None:
        while not self._ending.is_set():
            audience = chance.choice(SHORT if chance.random() < 0.6 else (*LONG, *RARE, UNTOUCHED))
            member, deadline = chance.choice(self._members), chance.choice(DEADLINES)
            at_least = 3.0 if chance.random() < 0.1 else 0.0
            call = await self._guarded("get", member, audience, deadline, at_least)
            if call.ok and audience != UNTOUCHED and chance.random() < REJECTED:
                await self._guarded("reject", chance.choice(self._members), audience, 2.0, call.generation)
            elif call.ok and chance.random() < UNREAL:
                await self._reject_unreal(chance.choice(self._members), audience, call.generation, chance)
            await asyncio.sleep(chance.uniform(*PAUSE))

    async def _guarded(self, op: str, member: Called, audience: str, deadline: float, more: float) -> Call:
        """A call; what the client should never do is written down too."""
        began = time.time()
        ask = self.get(member, audience, deadline, more) if op == "get" else self.reject(member, audience, int(more))
        try:
            async with asyncio.timeout(deadline + GRACE):
                return await ask
        except TimeoutError:
            status, reason = NEVER_ENDED, ""
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            status, reason = UNTYPED, type(error).__name__
        call = Call("get", member.name, audience, began, time.time(), deadline, status, reason)
        return self._keep(replace(call, op="reject") if op == "reject" else call)

    async def _reject_unreal(self, member: Called, audience: str, generation: int, chance: random.Random) -> None:
        unreal = chance.choice((generation + 1, generation + 10**9, 2**53, 2**62))
        began = time.time()
        call = Call("reject", member.name, audience, began, began, 2.0, "OK", generation=unreal)
        try:
            was_current = await member.client.reject(CLIENT, audience, generation=unreal, timeout=2.0)
            call = replace(call, was_current=was_current)
        except MintonceError as error:
            call = replace(call, status=error.code.name, reason=error.reason, retry_after=error.retry_after)
        except Exception as error:  # noqa: BLE001 - as above
            call = replace(call, status=UNTYPED, reason=type(error).__name__)
        self._unreal.append(replace(call, ended=time.time()))

    async def _watches(self, chance: random.Random) -> None:
        while True:
            member, audience = chance.choice(self._members), chance.choice((*SHORT, *LONG, UNTOUCHED))
            began = time.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(chance.uniform(*WATCHED_FOR)):
                    try:
                        await self.watch(member, audience)
                    except Exception as error:  # noqa: BLE001 - as above
                        reason = type(error).__name__
                        self._keep(Call("watch", member.name, audience, began, time.time(), 0.0, UNTYPED, reason))
            await asyncio.sleep(WATCH_AGAIN)

    def _flush(self) -> None:
        """What has ended since the last time. Calls that ended late since the machine stood still are left out."""
        calls, self.calls = self.calls, []
        unreal, self._unreal = self._unreal, []
        kept = [(call, False) for call in calls] + [(call, True) for call in unreal]
        with self._output.open("a") as output:
            for call, is_unreal in kept:
                if not self._pulse.excuses(call):
                    output.write(json.dumps({"unreal": is_unreal, "call": asdict(call)}) + "\n")


async def main(spec: Spec) -> None:
    """Calls until SIGTERM."""
    async with AsyncExitStack() as stack:
        beat = await stack.enter_async_context(pulse())
        members = [
            Target(name, await stack.enter_async_context(AsyncTokenClient(address)))
            for name, address in spec["targets"].items()
        ]
        crowd = Crowd(members, random.Random(spec["seed"]), beat, Path(spec["output"]))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, crowd.end)
        print("calling", flush=True)
        await crowd.run()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
