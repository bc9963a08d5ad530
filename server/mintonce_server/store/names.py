"""Names of keys and channels in Redis."""

from dataclasses import dataclass
from typing import Final

PREFIX: Final = "mintonce"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one installation. Installations with different prefixes can share a Redis, but no data.

    A prefix has no braces and no glob characters: the settings refuse them.
    """

    prefix: str = PREFIX

    def record(self, key_hash: str) -> str:
        """The key of a token's record. The braces put all three keys of a hash into one slot of a Cluster."""
        return f"{self.prefix}:{{{key_hash}}}:t"

    def keys(self, key_hash: str) -> tuple[str, str, str]:
        """The keys of record, lease and meta."""
        return self.record(key_hash), f"{self.prefix}:{{{key_hash}}}:l", f"{self.prefix}:{{{key_hash}}}:m"

    def issuer(self, issuer_hash: str) -> str:
        """The key of an issuer's state."""
        return f"{self.prefix}:{{{issuer_hash}}}:i"

    def month(self, client_hash: str, month: str) -> str:
        """The key of what a client uses in a month."""
        return f"{self.prefix}:{{{client_hash}}}:u:{month}"

    def replica(self, replica: str) -> str:
        """The key of a replica that runs."""
        return f"{self.prefix}:{{{replica}}}:r"

    @property
    def replicas(self) -> str:
        """A pattern for SCAN that matches all replicas."""
        return self.replica("*")

    @property
    def records(self) -> str:
        """A pattern for SCAN that matches all records."""
        return self.record("*")

    @property
    def wake_channel(self) -> str:
        """The channel on which replicas notify each other."""
        return f"{self.prefix}:wake"


USUAL: Final = Names()


def hash_of(record: bytes) -> str:
    """The key hash in a record's name."""
    return record.decode(errors="replace").partition("{")[2].partition("}")[0]
