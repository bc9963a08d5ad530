"""Ways to reach a store: one server, the primary that Sentinels name, or the servers of a Cluster."""

from mintonce_server.store.servers.opening import open_servers
from mintonce_server.store.servers.ports import Ear, Part, Servers

__all__ = ["Ear", "Part", "Servers", "open_servers"]
