"""Mutants of the Python that goes by the protocol: leases, memory, write-back."""

from mutants.mutant import LUA_TESTS, Mutant, core
from mutants.of_credentials import CREDENTIALS
from mutants.of_edges import EDGES
from mutants.of_identities import IDENTITIES
from mutants.of_issuers import ISSUERS
from mutants.of_numbers import NUMBERS
from mutants.of_repetition import REPETITION
from mutants.of_seals import SEALS
from mutants.of_shares import SHARES
from mutants.of_tenants import TENANTS
from mutants.of_ways import WAYS

PROTOCOL = (
    core(
        "no look at the lease before the POST",
        "mint_attempt",
        "    if not await attempt.may_begin():\n",
        "    if False:\n",
        "a replica that was stopped with the lease mints all the same",
        "minting",
    ),
    core(
        "no renewal",
        "mint",
        "                await held.renew(lease)\n",
        "                return\n",
        "a slow POST loses its lease, and another replica mints too",
        "minting",
    ),
    core(
        "a lease that lies idle after a failure",
        "mint",
        "                await self._share_failure(key_hash, again, error)\n",
        "",
        "all wait in vain, then the POST that failed is repeated at once",
        "minting",
    ),
    core(
        "old credentials that try again",
        "mint",
        "if refusal is not Refusal.OLD_CREDENTIALS:",
        "if refusal is not Refusal.DEAD:",
        "a replica with an old secret mints in a loop",
        "minting",
    ),
    core(
        "a nonce whose POST is spent",
        "mint",
        "                        request = replace(request, nonce=secrets.token_hex(16))\n",
        "",
        "a store that forgot its refusal hands out the same lease again: two POSTs for one generation",
        "minting",
    ),
    core(
        "waiters that cannot be woken",
        "reconcile",
        "        self._wakeups.notify(wake.key_hash)\n",
        "",
        "each waiter learns of the commit by its own timer only",
        "minting",
    ),
    core(
        "a gap that means nothing",
        "reconcile",
        "            self._wakeups.notify_all()\n            self._suspect(self._cache)\n",
        "            self._wakeups.notify_all()\n",
        "after a lost subscription, tokens are not compared with the store at once",
        "broker_upkeep",
    ),
    core(
        "no age",
        "cache",
        "return now - entry.confirmed_at <= self.confirm_within",
        "return True",
        "a replica that hears of nothing serves a rejected token to its end",
        "age",
    ),
    core(
        "rejections that come back",
        "reconcile",
        "if 0 < stored <= rejected_through:",
        "if stored < 0:",
        "after a failover that lost the rejection, the fleet serves the token again",
        "judging",
    ),
    core(
        "no write-back",
        "reconcile",
        "else Verdict.RESTORE",
        "else Verdict.NOTHING",
        "an emptied store costs a mint for each key",
        "judging",
    ),
    core(
        "what is barred here may be minted there",
        "fetch",
        "max(newer_than, entry.rejected_through, ",
        "max(newer_than, ",
        "a replica takes the rejected token from a store that lost the rejection",
        "lost_rejections",
    ),
    core(
        "a successor is numbered twice",
        "reconcile",
        "if entry.live(self._clock.monotonic()) is None:  # else",
        "if True:  # else",
        "two looks at once give one token two numbers",
        "lost_rejections",
    ),
    core(
        "a rejection without the text of what is held",
        "reject",
        "self._interval(entry), known)",
        'self._interval(entry), "")',
        "what was not committed yet comes again from the issuer as a new token",
        "rejecting_without_the_store",
    ),
    core(
        "a rejection of what is over",
        "reject",
        "return False  # it is over anyway",
        "pass",
        "it puts off the next honest rejection",
        "rejecting",
    ),
    core(
        "a rejection that is said again puts off the next one",
        "reject",
        "if entry.token is not None and entry.token.generation <= rejection.generation:",
        "if True:",
        "a caller that goes on rejecting an old token keeps others from rejecting the new one",
        "rejecting",
    ),
    core(
        "what a flight brought is never too old",
        "fetch",
        "if obtained.confirmed_at != NEVER and now",
        "if False and now",
        "a replica that was stopped hands out what was rejected meanwhile",
        "age",
    ),
    core(
        "a stop is a wait for the store",
        "broker",
        "SILENCE <= later - now <= wait + SILENCE",
        "SILENCE <= later - now",
        "a replica that was stopped serves what was rejected meanwhile",
        "age",
    ),
    core(
        "a lease is confirmed when its answer is read",
        "mint",
        "_Held(lease, self._store, self._clock, asked_at)",
        "_Held(lease, self._store, self._clock, self._clock.monotonic())",
        "a replica that was stopped makes a POST by a lease that is another's",
        "minting",
    ),
    core(
        "the rejected number may be a successor",
        "reconcile",
        " or stored.generation == entry.rejected_through:",
        ":",
        "a store whose clock was set back revives what was rejected",
        "lost_rejections",
    ),
    core(
        "a token that its issuer stands by is no successor",
        "reconcile",
        "if is_same and not stored.reissued:",
        "if is_same:",
        "the fleet's token falls to a provisional number",
        "lost_rejections",
    ),
    core(
        "a token is numbered by all who look at it",
        "reconcile",
        "if under_way := self._numbering.get(entry.key):",
        "if False and (under_way := self._numbering.get(entry.key)):",
        "a caller gets a token that the store has just called rejected",
        "adopting",
    ),
    core(
        "what is over here may be had there",
        "fetch",
        ", entry.over(now))",
        ")",
        "a store whose clock was set back revives a token",
        "only_live_tokens",
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
        "a life counted again",
        "store/redis.py",
        "ttl=_ms(token.remaining(now)),\n            latest=_ms(token.expiry_unix),",
        "ttl=_ms(token.lifetime),\n            latest=_ms(token.expiry_unix + token.lifetime),",
        "a token outlives itself in the store",
        LUA_TESTS,
    ),
)

PYTHON = PROTOCOL + NUMBERS + REPETITION + EDGES + IDENTITIES + SEALS + SHARES + CREDENTIALS + TENANTS + ISSUERS + WAYS
