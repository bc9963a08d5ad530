"""Faults planted in a copy of the product: the simulator must notice each within a hundred seeds."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from mutants.hunting import copied
from mutants.mutant import ROOT, Mutant

SEEDS: Final = 100
LONGEST: Final = 900.0
"""Seconds for all the seeds of one mutant."""

SERVER: Final = "store/memory_server.py"


def planted(name: str, file: str, old: str, new: str, breaks: str) -> Mutant:
    """One that the simulator must notice, and not a test."""
    return Mutant(name, file, old, new, breaks, ())


MUTANTS: Final = (
    planted(
        "a commit that ignores the barrier",
        SERVER,
        "        if generation <= _lua(meta.bar):\n            return Refusal.REJECTED\n",
        "",
        "a token whose mint began before a rejection becomes current after it",
    ),
    planted(
        "a commit that ignores newer generations",
        SERVER,
        "        if generation <= f:\n            return Refusal.STALE\n",
        "",
        "a holder that was stopped past its lease replaces a newer token",
    ),
    planted(
        "a commit that keeps a dead lease",
        SERVER,
        "        if entry.lease and _lua(entry.lease.f) == generation:\n            entry.lease = None\n",
        "",
        "after each mint, all wait until the lease lapses",
    ),
    planted(
        "a failure told by anybody",
        SERVER,
        "        if not _is_holder(entry.lease, nonce, generation):\n"
        "            return False\n"
        "        entry.lease, meta",
        "        entry.lease, meta",
        "a holder that was stopped past its lease ends the mint of another",
    ),
    planted(
        "an acquire that is not idempotent",
        SERVER,
        "left, lost = held.ends - now, held.nonce == nonce",
        "left, lost = held.ends - now, False",
        "a replica that lost the answer waits for its own lease",
    ),
    planted(
        "a lease for everybody",
        SERVER,
        "        if held:\n            left",
        "        if held and held.nonce == nonce:\n            left",
        "several replicas mint at the same time",
    ),
    planted(
        "a rejection of any generation",
        SERVER,
        "        if _double(generation) not in (f, provisional):",
        "        if not f:",
        "a caller that names any number takes the current token away",
    ),
    planted(
        "a rejection of what is not committed yet is lost",
        SERVER,
        "        if max(f, _lua(meta.bar)) < _double(generation) == _lua(meta.f):\n",
        "        if False:\n",
        "its replica brings it when the store is back, and all serve it",
    ),
    planted(
        "rejections in a loop",
        SERVER,
        "        wait = meta.rejected_at + min_interval - now\n"
        "        if 0 < wait <= min_interval:\n"
        "            return TooSoon(wait)\n"
        "        meta.bar",
        "        meta.bar",
        "a caller in a loop causes a mint each time",
    ),
    planted(
        "a back-off that holds for no replica",
        SERVER,
        "        if not adopt and (denied :=",
        "        if not adopt and False and (denied :=",
        "an issuer in trouble gets POSTs without a pause",
    ),
    planted(
        "old credentials that overwrite new ones",
        SERVER,
        "        if record.cv < meta.cv:\n            return Refusal.OLD_CREDENTIALS\n",
        "",
        "a token that was minted with the old secret replaces one minted with the new one",
    ),
    planted(
        "a lease that is never renewed",
        "core/mint.py",
        "            await asyncio.sleep(max(RENEW_LEAST,",
        "            return\n            await asyncio.sleep(max(RENEW_LEAST,",
        "a slow POST loses its lease, and another replica mints too",
    ),
    planted(
        "no look at the lease before the POST",
        "core/mint_attempt.py",
        "    if not await attempt.may_begin():\n",
        "    if False:\n",
        "a replica that was stopped with the lease mints all the same",
    ),
    planted(
        "a failure that is not published",
        "core/mint.py",
        "            await self._store.fail(lease, failure_of(error), error.retry_after or 0.0)\n            answer",
        "            raise error\n            answer",
        "its lease lies idle, and the next replica repeats the POST inside the back-off",
    ),
    planted(
        "trouble that no other key learns of",
        "core/mint_attempt.py",
        "            return await gate.learn(",
        "            return False and await gate.learn(",
        "each key and each replica finds out for itself that the issuer limits the rate",
    ),
    planted(
        "a gate that is always open",
        "core/mint_attempt.py",
        "            admitted = await self._enter(attempt, gate)\n",
        '            admitted = Admitted("", 0, 0)\n',
        "an issuer that limits the rate gets a POST for each key",
    ),
    planted(
        "an age that is never looked at",
        "core/cache.py",
        "        return now - entry.confirmed_at <= self.confirm_within\n",
        "        return True\n",
        "a replica that was stopped serves what was rejected meanwhile",
    ),
    planted(
        "a rejection by the caller's number",
        "core/reject.py",
        "        is_held = _is_known_as(entry.token, generation)\n",
        "        self._cache.evict(entry, generation)\n        is_held = _is_known_as(entry.token, generation)\n",
        "a caller that names a number that never was takes the key from this replica",
    ),
    planted(
        "a wake message that is believed",
        "core/reconcile.py",
        "            entry.doubt()\n            self._suspect([entry])\n",
        "            self._cache.evict(entry, wake.generation)\n",
        "a message with any number bars a key",
    ),
    planted(
        "a dead token that is served",
        "core/token.py",
        "        return now < self.expires_at\n",
        "        return True\n",
        "callers get tokens that every resource server refuses",
    ),
    planted(
        "a mint that ends with its caller",
        "core/single_flight.py",
        "await asyncio.shield(task)",
        "await task",
        "one caller that hangs up takes the token from all others",
    ),
    planted(
        "a lone mint without a back-off",
        "core/outage.py",
        "        if (left := past.until - self._clock.monotonic()) > 0:\n"
        "            raise error_of(past.failure, left)\n",
        "",
        "without a store, an issuer in trouble gets POSTs without a pause",
    ),
    planted(
        "lone mints that share their numbers",
        "core/outage.py",
        "        return floor + 1 + self._rng.randrange(max(now - floor, SPREAD_MIN))\n",
        "        return floor + 1\n",
        "one number means two tokens, and a rejection hits the wrong one",
    ),
    planted(
        "lone tokens that stay alone",
        "core/reconcile.py",
        "        if held is not None and held.provisional:\n            await self._number(entry, held)\n",
        "        return\n",
        "after an outage each replica goes on with a token of its own",
    ),
    planted(
        "background work that ends with its first fault",
        "core/edge.py",
        "    except StoreUnavailable:\n"
        "        raise\n"
        "    except Exception as error:\n"
        '        sink(events.Unforeseen("", f"store.{operation}", error))\n',
        "    except StoreUnavailable as error:\n",
        "an unforeseen exception goes through the whole engine",
    ),
)


class Verdict(NamedTuple):
    """`seed` is the first that caught it, -1 if none did."""

    mutant: Mutant
    seed: int
    law: str


def hunt(chosen: str) -> Iterator[Verdict]:
    """One after the other; `chosen`: only those with this in their name."""
    for mutant in MUTANTS:
        if chosen in mutant.name:
            yield _verdict(mutant)


def _verdict(mutant: Mutant) -> Verdict:
    command = [sys.executable, "-m", "simulate", "--seeds", str(SEEDS), "--minutes", "60", "--stop"]
    with copied(mutant) as environment:
        path = os.pathsep.join((environment["PYTHONPATH"], str(ROOT / "tests"), str(ROOT / "verification")))
        run = subprocess.run(
            command,
            cwd=ROOT,
            env=environment | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    found = re.search(r"^seed (\d+): (.*?) at ", run.stdout, re.MULTILINE)
    if run.returncode not in (0, 1) or (run.returncode == 1 and found is None):
        raise RuntimeError(f"the simulator could not run\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return Verdict(mutant, int(found[1]), found[2]) if found else Verdict(mutant, -1, "")
