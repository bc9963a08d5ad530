"""From a URL to the servers behind it."""

from mintonce_server.store.topology.cluster import ClusterServers
from mintonce_server.store.topology.ports import Servers
from mintonce_server.store.topology.sentinel import SentinelServers
from mintonce_server.store.topology.single import Single
from mintonce_server.store.topology.url import Target, read


def open_servers(url: str, *, deadline: float) -> Servers:
    """Connects when first used. Raises ValueError, which shows nothing secret of the URL.

    Args:
        url: see `url.read` for the kinds.
        deadline: seconds for each answer of a server.
    """
    return open_target(read(url), deadline)


def open_target(target: Target, deadline: float) -> Servers:
    """As `open_servers`, of a URL that was read."""
    match target.kind:
        case "single":
            return Single(target, deadline)
        case "sentinel":
            return SentinelServers(target, deadline)
        case "cluster":
            return ClusterServers(target, deadline)
