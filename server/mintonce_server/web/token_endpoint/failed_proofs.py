"""Limits failed proofs of identity for each address, before any proof is checked: guessing costs the guesser."""

from collections import OrderedDict
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import LimitExceeded
from mintonce_server.core.limits import Bucket

BURST: Final = 5
"""Seconds' worth at once. Some libraries try each secret twice: as Basic and in the body."""
MAX_ADDRESSES: Final = 10_000


class FailedProofs:
    """`per_second`: for each address; 0: no limit, as where one proxy brings all callers."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def require_room(self, address: str) -> None:
        """Raises LimitExceeded for an address with too many failures. No other address is affected."""
        bucket = self._buckets.get(address)
        if bucket is None:
            return
        bucket.fill(self._clock.monotonic())
        if bucket.left < 1.0:
            raise LimitExceeded(
                "too many failed proofs of identity from this address",
                remedy="Correct the API key or JWT of whatever calls from there, then wait a second.",
                retry_after=(1.0 - bucket.left) / bucket.rate,
            )

    def note(self, address: str) -> None:
        """One has failed."""
        if not self._per_second:
            return
        now = self._clock.monotonic()
        bucket = self._buckets.get(address)
        if bucket is None:
            if len(self._buckets) >= MAX_ADDRESSES:
                self._buckets.popitem(last=False)
            bucket = self._buckets[address] = Bucket(self._per_second, max(1, int(BURST * self._per_second)), now)
        self._buckets.move_to_end(address)
        bucket.take(now)
