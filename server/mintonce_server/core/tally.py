"""What a replica holds, in numbers: one pass over its entries."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mintonce_server.core.cache import NEVER, Entry


@dataclass(slots=True)
class ClientTally:
    """Of one client. Times are of the monotonic clock.

    Attributes:
        held: keys, with or without a token.
        live: keys with a live token.
        overdue: keys in use whose token should have a successor by now: half of the time between its refresh and its
            end has passed; or a watched key, or one that is kept warm, has no live token at all.
        watchers: watches that follow its keys.
        ends: when the first live token ends that is wanted, and that is not; infinite without one.
    """

    held: int = 0
    live: int = 0
    watchers: int = 0
    ends: dict[bool, float] = field(default_factory=lambda: {True: float("inf"), False: float("inf")})
    overdue: int = 0


@dataclass(slots=True)
class Tally:
    """Of a replica.

    Attributes:
        flights: keys that are being fetched or minted. `waiters`: calls that wait for them.
        refreshing: keys that are being refreshed. `overdue`: keys that are due and wait for their turn.
        clients: by name; a client without keys is missing.
        oldest: seconds since the store confirmed the token that it confirmed longest ago, of those in use; 0: none.
    """

    clients: dict[str, ClientTally] = field(default_factory=dict[str, ClientTally])
    oldest: float = 0.0
    flights: int = 0
    waiters: int = 0
    refreshing: int = 0
    overdue: int = 0


def tally(entries: Iterable[Entry], now: float) -> Tally:
    """A token is wanted if it is watched, kept warm, or was asked for since it came."""
    total = Tally()
    for entry in entries:
        of_client = total.clients.get(entry.key.client)
        if of_client is None:
            of_client = total.clients[entry.key.client] = ClientTally()
        of_client.held += 1
        of_client.watchers += entry.watchers
        token, is_kept = entry.live(now), bool(entry.watchers or entry.client.keep_warm)
        if token is None:
            of_client.overdue += is_kept and entry.ever_held
            continue
        of_client.live += 1
        wanted = is_kept or entry.asked_again
        of_client.overdue += wanted and now > (token.refresh_at + token.expires_at) / 2
        of_client.ends[wanted] = min(of_client.ends[wanted], token.expires_at)
        if entry.is_served and entry.confirmed_at != NEVER:
            total.oldest = max(total.oldest, now - entry.confirmed_at)
    return total
