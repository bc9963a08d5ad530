"""Where a server listens."""

from typing import NamedTuple, Self
from urllib.parse import unquote


class Address(NamedTuple):
    """Of a TCP server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def read(cls, text: str, default_port: int) -> Self:
        """`host`, `host:port`, `[IPv6]` or `[IPv6]:port`. Raises ValueError."""
        host, colon, port = text.rpartition(":")
        if not colon or port.endswith("]"):
            host, port = text, str(default_port)
        bracketed = host.startswith("[") and host.endswith("]")
        host = unquote(host[1:-1] if bracketed else host)
        if not host or (":" in host and not bracketed) or not (port.isascii() and port.isdigit()):
            raise ValueError("not an address")
        if not 0 < int(port) < 65_536:
            raise ValueError("not a port")
        return cls(host, int(port))
