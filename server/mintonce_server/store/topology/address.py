"""Where a server listens."""

from typing import NamedTuple, Self

from mintonce_server.common.network import read_address


class Address(NamedTuple):
    """Of a TCP server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def read(cls, text: str, default_port: int) -> Self:
        """`host`, `host:port`, `[IPv6]` or `[IPv6]:port`. Raises ValueError."""
        return cls(*read_address(text, default_port))
