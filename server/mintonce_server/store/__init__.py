"""Where the fleet's tokens and leases live: Redis or Valkey, or the memory of one process."""

from mintonce_server.store.memory import MemoryStore
from mintonce_server.store.redis import RedisStore

__all__ = ["MemoryStore", "RedisStore"]
