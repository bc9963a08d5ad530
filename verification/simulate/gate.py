"""What one POST learns of the issuer holds for all of its keys: no POST by a lease while its trouble is known."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from simulate.state import NEVER, NodeState, World

from mintonce_server.core.errors import IssuerError, IssuerThrottled, IssuerUnavailable
from mintonce_server.core.key import TokenKey

SLACK: Final = 0.6
"""Seconds for what is on its way when the trouble becomes known."""
PAUSE_LEAST: Final = 1.0
OWN: Final = 31.0
"""Seconds after a success for which a key that failed before it may have trouble of its own."""


class Posted(Protocol):
    """A POST."""

    @property
    def node(self) -> int: ...
    @property
    def at(self) -> float: ...
    @property
    def lone(self) -> bool: ...
    @property
    def key(self) -> TokenKey: ...


@dataclass
class Gate:
    """The failures in a row of a credential, and until when all wait who have it."""

    world: World
    failed: list[Posted] = field(default_factory=list[Posted])
    own: set[TokenKey] = field(default_factory=set[TokenKey])
    got_at: float = NEVER
    known_at: float = NEVER
    until: float = NEVER

    def ended(self, post: Posted, error: BaseException | None) -> None:
        """A POST by a lease publishes its result; one without the store cannot."""
        if post.lone:
            return
        if isinstance(error, IssuerThrottled | IssuerUnavailable) or (
            isinstance(error, IssuerError) and error.of_client
        ):
            if post.at < self.got_at:
                return  # another key got an answer meanwhile
            if post.key in self.own and self.world.now < self.got_at + OWN:
                return  # it failed while others succeeded
            others = [past for past in self.failed if past.key != post.key]
            is_news, self.failed = len(others) == len(self.failed), [*others, post]
            if others and is_news:
                self.known_at = self.world.now
                self.until = self.world.now + (error.retry_after or PAUSE_LEAST)
        elif error is None or isinstance(error, IssuerError):
            # A success whose teller was killed is not known: its key may have trouble of its own on.
            self.own |= {past.key for past in self.failed}
            self.failed, self.got_at, self.until = [], self.world.now, NEVER

    def post(self, node: NodeState, post: Posted) -> None:
        """A POST begins."""
        world, now = self.world, self.world.now
        if post.lone or not self.known_at + SLACK < now < self.until - 0.05 or node.troubled(self.known_at - SLACK):
            return
        told = not any(world.nodes[past.node].troubled(past.at) for past in self.failed)
        if told and max(world.all_lost, world.store_stepped) < self.failed[0].at:
            world.broken("gate", f"POST {post}: the issuer's trouble is known, and lasts until {self.until:.3f}")
