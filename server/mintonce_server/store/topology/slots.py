"""Which server of a Cluster has which slot."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from redis.exceptions import ConnectionError

from mintonce_server.store.causes import NoSlots
from mintonce_server.store.topology.address import Address


class Range(NamedTuple):
    """Slots from `first` to `last`, which one server has."""

    first: int
    last: int
    primary: Address


@dataclass(frozen=True, slots=True)
class SlotMap:
    """What CLUSTER SLOTS says. Two servers that see the Cluster alike give equal ones."""

    ranges: tuple[Range, ...]
    replicas: tuple[Address, ...]

    @property
    def primaries(self) -> tuple[Address, ...]:
        """Each once."""
        return tuple(sorted({range_.primary for range_ in self.ranges}))

    @property
    def servers(self) -> tuple[Address, ...]:
        """All."""
        return tuple(sorted({*self.primaries, *self.replicas}))

    def primary(self, slot: int) -> Address | None:
        """None for a slot that nobody has."""
        at = bisect_right(self.ranges, slot, key=lambda range_: range_.first) - 1
        found = self.ranges[at] if at >= 0 else None
        return found.primary if found and slot <= found.last else None


def read_slots(reply: object, asked: Address) -> SlotMap:
    """`asked` stands in for an endpoint that is not said. Raises ConnectionError if the server knows no slots."""
    if not isinstance(reply, list):
        raise ConnectionError(f"{asked} answered CLUSTER SLOTS with something else")
    if not reply:
        raise NoSlots(f"{asked} knows no server of its Cluster")
    ranges: list[Range] = []
    replicas: set[Address] = set()
    for row in cast(list[list[Any]], reply):
        try:
            first, last, primary, *others = row
            ranges.append(Range(int(first), int(last), _address(primary, asked)))
            replicas |= {_address(other, asked) for other in others}
        except (TypeError, ValueError, IndexError) as error:
            raise ConnectionError(f"{asked} answered CLUSTER SLOTS with something else") from error
    return SlotMap(tuple(sorted(ranges)), tuple(sorted(replicas)))


def _address(server: Sequence[Any], asked: Address) -> Address:
    """Of host and port, which more may follow."""
    host, port = server[0], server[1]
    name = host.decode(errors="replace") if isinstance(host, bytes) else ""
    return Address(name if name not in ("", "?") else asked.host, int(port))
