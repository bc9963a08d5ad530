"""Mutants of the Python that goes by the protocol."""

from mutants.mutant import LUA_TESTS, Mutant

PYTHON = (
    Mutant(
        "no look at the lease before the POST",
        "core/minting.py",
        "if self._clock.monotonic() >= lease.expires_at:",
        "if lease.generation < 0:",
        "a replica that was stopped with the lease mints all the same",
    ),
    Mutant(
        "no renewal",
        "core/minting.py",
        "held: Lease | None = lease\n",
        "held: Lease | None = None\n",
        "a slow POST loses its lease, and another replica mints too",
    ),
    Mutant(
        "a lease that lies idle after a failure",
        "core/minting.py",
        "                await self._share_failure(key_hash, again, error)\n",
        "",
        "all wait for nobody, then the POST that failed is repeated at once",
    ),
    Mutant(
        "old credentials that try again",
        "core/minting.py",
        "if refusal in (Refusal.STALE, Refusal.REJECTED):",
        "if refusal is not Refusal.DEAD:",
        "a replica with an old secret mints in a loop",
    ),
    Mutant(
        "the same text is taken again",
        "core/posting.py",
        "if minted.access_token.fingerprint() == rejected:",
        "if not minted.access_token.fingerprint():",
        "a rejected token is served again under a new generation",
    ),
    Mutant(
        "waiters that cannot be woken",
        "core/upkeep.py",
        "        self._bell.ring(wake.key_hash)\n",
        "",
        "each waiter learns of the commit by its own timer only",
    ),
    Mutant(
        "a gap that means nothing",
        "core/upkeep.py",
        "            self._bell.ring_all()\n            self.suspect_all()\n",
        "            self._bell.ring_all()\n",
        "after a lost subscription, tokens are not compared with the store at once",
    ),
    Mutant(
        "no age",
        "core/holdings.py",
        "return now - entry.confirmed_at <= self.confirm_within",
        "return True",
        "a replica that hears of nothing serves a rejected token to its end",
    ),
    Mutant(
        "rejections that come back",
        "core/revalidation.py",
        "if 0 < stored <= barred:",
        "if stored < 0:",
        "after a failover that lost the rejection, the fleet serves the token again",
    ),
    Mutant(
        "no write-back",
        "core/revalidation.py",
        "return Verdict.LOAD if stored > held else Verdict.RESTORE",
        "return Verdict.LOAD if stored > held else Verdict.NOTHING",
        "an emptied store costs a mint for each key",
    ),
    Mutant(
        "what is barred here may be minted there",
        "core/filling.py",
        "max(newer_than, entry.barred)",
        "newer_than",
        "a replica takes the rejected token from a store that lost the rejection",
    ),
    Mutant(
        "a write-back that looks like a mint",
        "store/redis.py",
        "self._commit(token, restored=True)",
        "self._commit(token)",
        "it ends a back-off",
        LUA_TESTS,
    ),
    Mutant(
        "a life counted anew",
        "store/redis.py",
        "ttl=_ms(token.remaining(now))",
        "ttl=_ms(token.lifetime)",
        "a token outlives itself in the store",
        LUA_TESTS,
    ),
)
