"""A quota, as an issuer names it in an answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """One quota, as an answer named it. None: unspecified.

    Attributes:
        name: such as "client per_hour". Printable ASCII.
        counts_tokens: whether it counts tokens. Otherwise it counts requests.
        limit: how much there is in each window.
        remaining: how much is left.
        reset_in: seconds from the answer to the end of the window.
    """

    name: str
    counts_tokens: bool
    limit: int | None = None
    remaining: int | None = None
    reset_in: float | None = None
