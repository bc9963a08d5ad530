"""The tokens of the scripted server: each with a lifetime of its own that runs from its publication."""

import hashlib
import secrets
from dataclasses import dataclass, field
from time import monotonic, time

from mintonce.v1 import types_pb2


@dataclass(frozen=True)
class Published:
    """A token as the server has it. The text is a canary: no testee may ever show it."""

    generation: int
    lifetime: float = 3600.0
    refresh_in: float | None = None
    degraded: bool = False
    origin: int = types_pb2.ORIGIN_MEMORY
    token_type: str = "Bearer"
    expire_time: float | None = None
    extra: bytes = b""
    """Unknown fields, in wire format."""
    text: str = field(default_factory=lambda: f"secret-{secrets.token_urlsafe(24)}", repr=False)
    at: float = field(default_factory=monotonic)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def header(self) -> str:
        return f"Bearer {self.text}"

    @property
    def header_sha256(self) -> str:
        return hashlib.sha256(self.header.encode()).hexdigest()

    @property
    def expires_in(self) -> float:
        return self.at + self.lifetime - monotonic()

    @property
    def is_live(self) -> bool:
        return self.expires_in > 0

    def message(self) -> types_pb2.Token:
        """As it goes out now."""
        result = types_pb2.Token(
            access_token=self.text,
            token_type=self.token_type,
            generation=self.generation,
            degraded=self.degraded,
            scopes=["read", "write"],
        )
        result.origin = self.origin  # type: ignore[assignment] # also one that the enum does not have
        result.expires_in.FromMicroseconds(int(max(0.0, self.expires_in) * 1e6))
        refresh_in = 0.9 * self.lifetime if self.refresh_in is None else self.refresh_in
        result.refresh_in.FromMicroseconds(int(max(0.0, self.at + refresh_in - monotonic()) * 1e6))
        wall = time() + self.expires_in if self.expire_time is None else self.expire_time
        result.expire_time.FromMilliseconds(int(wall * 1000))
        if self.extra:
            result.MergeFromString(self.extra)
        return result
