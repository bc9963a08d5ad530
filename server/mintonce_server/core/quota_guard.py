"""Makes no request while an issuer has said that no tokens are left."""

from collections.abc import Iterable
from typing import Final, TypeVar

from mintonce_server.core.backoff import LONGEST_ASKED
from mintonce_server.core.errors import IssuerThrottled
from mintonce_server.core.quota import QuotaWindow

SHORTEST: Final = 1.0
"""Seconds. The least pause until the next request."""

MAX_ACCOUNTS: Final = 1_000
"""That are remembered."""

V = TypeVar("V")


def pause_of(windows: Iterable[QuotaWindow], *, tokens_only: bool) -> float | None:
    """Seconds until the last of the windows ends in which nothing is left, clamped. None: there is none."""
    ends = [
        window.reset_in
        for window in windows
        if window.remaining == 0 and window.reset_in is not None and (window.counts_tokens or not tokens_only)
    ]
    return min(max(*ends, SHORTEST), LONGEST_ASKED) if ends else None


class NoTokensLeft(IssuerThrottled):
    """The issuer would refuse. Nothing was sent."""


class TokenQuotas:
    """Which accounts at issuers have no tokens left, by what the issuers said to this replica.

    An issuer may name a quota that it does not enforce. So after each pause one request is made; if it brings a token
    although none was left, the account is not held back again.
    """

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}
        """When the pause of an account ends, on the monotonic clock. Past ones show that none was left."""
        self._lenient: dict[str, None] = {}

    def check(self, account: str, now: float) -> None:
        """Raises NoTokensLeft while the issuer would refuse for sure."""
        left = self._ends.get(account, now) - now
        if left > 0.0:
            error = NoTokensLeft(
                f"the issuer said that no tokens are left; the next request is made in {left:.0f} s",
                remedy="Raise the quota at the issuer, or use fewer keys. `mintonced budget` shows what uses tokens.",
                retry_after=left,
            )
            error.of_issuer = True
            raise error

    def learn(self, account: str, windows: Iterable[QuotaWindow], now: float, *, minted: bool) -> None:
        """What an answer said. `minted`: it brought a token."""
        before = self._ends.pop(account, None)
        pause = pause_of(windows, tokens_only=True)
        if pause is None:
            return
        if minted and before is not None:
            _remember(self._lenient, account, None)
        if account not in self._lenient:
            _remember(self._ends, account, now + pause)


def _remember(table: dict[str, V], account: str, value: V) -> None:
    table.pop(account, None)
    table[account] = value
    if len(table) > MAX_ACCOUNTS:  # each rotated secret begins an account
        del table[next(iter(table))]
