"""The nine atomic acts. Each method's signature is its script's contract; what comes back is as the script says."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final, cast

from redis.exceptions import NoScriptError

from mintonce_server.core.backoff import LONGEST_ASKED
from mintonce_server.core.issuer_state import ALONE_MS, FIRST_MS, FRESH_MS, MOST_KEYS, OWN_MS, PAUSE_MAX_MS
from mintonce_server.core.ports import WakeKind
from mintonce_server.core.token import MAX_LIFETIME
from mintonce_server.store.commands import Commands
from mintonce_server.store.names import Names
from mintonce_server.store.notifications import Notifications

META_MS: Final = int((MAX_LIFETIME + 86_400.0) * 1000)
"""Longer than the longest token: for a barrier whose token is not known."""
BRIEF_MS: Final = 3_600_000
"""How long a key is remembered without a token, or after its last one: keys must not fill the store."""

BACK_OFF_MS: Final = int(LONGEST_ASKED * 1000)


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua file and the name under which the server remembers it."""

    text: str
    sha: str

    @classmethod
    def load(cls, name: str) -> "Script":
        """From the package's own data."""
        text = resources.files("mintonce_server.store").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


ACQUIRE: Final = Script.load("acquire")
COMMIT: Final = Script.load("commit")
FAIL: Final = Script.load("fail")
RENEW: Final = Script.load("renew")
REJECT: Final = Script.load("reject")
BARRIER: Final = Script.load("barrier")
RESEAL: Final = Script.load("reseal")
ENTER: Final = Script.load("enter")
LEARN: Final = Script.load("learn")


class Scripts:
    """Calls the scripts on a client. All numbers are whole milliseconds unless their name says otherwise."""

    def __init__(
        self,
        client: Commands,
        notifications: Notifications,
        names: Names,
        *,
        meta_ms: int = META_MS,
        brief_ms: int = BRIEF_MS,
    ) -> None:
        self._client = client
        self._names, self._channel = names, names.wake_channel
        self._message = notifications.encode
        self._meta, self._brief = meta_ms, brief_ms

    async def acquire(
        self,
        key_hash: str,
        *,
        nonce: str,
        lease: int,
        credential_version: int,
        newer_than: int,
        min_remaining: int,
        adopt: bool,
        proof: str,
    ) -> Sequence[object]:
        """[HIT, row] | [LEASE, …] | [WAIT, ms] | [BACKOFF, failure, ms, row?], see acquire.lua."""
        values = (
            nonce,
            lease,
            credential_version,
            newer_than,
            min_remaining,
            self._brief,
            int(adopt),
            BACK_OFF_MS,
            proof,
        )
        return cast(list[object], await self._call(ACQUIRE, key_hash, *values))

    async def commit(
        self,
        key_hash: str,
        *,
        generation: int,
        ttl: int,
        latest: int,
        credential_version: int,
        leeway: int,
        cap: int,
        payload: bytes,
        fingerprint: str,
        provisional: int,
        restored: bool,
    ) -> Sequence[object]:
        """[OK | DUP, expiry] | [STALE | REJECTED | OLD_CREDENTIALS | DEAD]. `cap`: a wish for more is read as this.

        `latest`: the expiry may not be later by the store's clock. `provisional`: what `generation` replaces, or 0.
        """
        message = self._message(WakeKind.COMMIT, key_hash, generation)
        sizes = (generation, ttl, latest, credential_version, leeway, cap)
        values = (
            *sizes,
            payload,
            fingerprint,
            provisional,
            int(restored),
            self._brief,
            self._channel,
            message,
        )
        return cast(list[object], await self._call(COMMIT, key_hash, *values))

    async def fail(
        self,
        key_hash: str,
        *,
        nonce: str,
        generation: int,
        retry: int,
        failure: str,
        credential_version: int,
        while_live: bool,
        own: bool,
        proof: str,
    ) -> object:
        """1 if it was recorded, else 0."""
        message = self._message(WakeKind.FAIL, key_hash, generation)
        values = (nonce, generation, retry, failure, credential_version)
        more = (self._brief, self._channel, message, int(while_live), proof, int(own))
        return await self._call(FAIL, key_hash, *values, *more)

    async def renew(self, key_hash: str, *, nonce: str, generation: int, lease: int) -> object:
        """1 if it is ours, else 0."""
        return await self._call(RENEW, key_hash, nonce, generation, lease)

    async def reject(
        self, key_hash: str, *, generation: int, min_interval: int, fingerprint: str = ""
    ) -> Sequence[object]:
        """[CURRENT, generation] | [OTHER] | [TOO_SOON, ms] | [UNKNOWN]."""
        message = self._message(WakeKind.REJECT, key_hash, generation)
        values = (generation, min_interval, self._brief, self._channel, message, fingerprint)
        return cast(list[object], await self._call(REJECT, key_hash, *values))

    async def barrier(self, key_hash: str, *, generation: int, fingerprint: str, min_interval: int) -> Sequence[object]:
        """[OK] | [TOO_SOON, ms]."""
        message = self._message(WakeKind.REJECT, key_hash, generation)
        values = (generation, fingerprint, min_interval, self._meta, self._channel, message)
        return cast(list[object], await self._call(BARRIER, key_hash, *values))

    async def reseal(self, key_hash: str, *, generation: int, before: bytes, after: bytes) -> object:
        """1 if it was changed, else 0."""
        return await self._call(RESEAL, key_hash, generation, before, after)

    async def enter(self, issuer_hash: str, *, nonce: str) -> Sequence[object]:
        """[GO, now, failures] | [WAIT, ms] | [BACKOFF, failure, ms]."""
        values = (nonce, FRESH_MS, ALONE_MS, PAUSE_MAX_MS, self._brief, FIRST_MS)
        return cast(list[object], await self._run(ENTER, (self._names.issuer(issuer_hash),), values))

    async def learn(self, issuer_hash: str, *, nonce: str, began: int, failure: str, pause: int) -> object:
        """1 if the trouble is the issuer's, else 0."""
        values = (nonce, began, failure, pause, self._brief, OWN_MS, MOST_KEYS)
        return await self._run(LEARN, (self._names.issuer(issuer_hash),), values)

    async def _call(self, script: Script, key_hash: str, *values: str | int | bytes) -> object:
        return await self._run(script, self._names.keys(key_hash), values)

    async def _run(self, script: Script, keys: Sequence[str], values: Sequence[str | int | bytes]) -> object:
        try:
            return await self._client.evalsha(script.sha, len(keys), *keys, *values)
        except NoScriptError:
            # A new, emptied or failed-over server does not know it: EVAL runs it and teaches it, in one round trip.
            return await self._client.eval(script.text, len(keys), *keys, *values)
