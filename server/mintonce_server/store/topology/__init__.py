"""Ways to reach a store: one server, the primary that Sentinels name, or the servers of a Cluster."""

from mintonce_server.store.topology.opening import open_servers, open_target
from mintonce_server.store.topology.pool import OldConnections, Pool, noting
from mintonce_server.store.topology.ports import Ear, Part, Servers
from mintonce_server.store.topology.url import Target

__all__ = ["Ear", "OldConnections", "Part", "Pool", "Servers", "Target", "noting", "open_servers", "open_target"]
