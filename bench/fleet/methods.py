"""What the fleet's callers send, and how they read what comes."""

import random
from typing import Final

from mintonce.v1 import admin_pb2, tokens_pb2, types_pb2

CLIENT: Final = "default"
"""The name of the one client that environment variables register."""

GET_TOKEN: Final = "/mintonce.v1.TokenService/GetToken"
WATCH_TOKEN: Final = "/mintonce.v1.TokenService/WatchToken"
ROTATE_TOKEN: Final = "/mintonce.v1.AdminService/RotateToken"

FLOOR: Final = "mintonce.bench.v1.Floor"
HELD: Final = f"/{FLOOR}/Held"
"""Waits for the next release, and returns its bytes."""
FOLLOWED: Final = f"/{FLOOR}/Followed"
"""A stream: bytes at once, then those of each release."""
RELEASE_CHANNEL: Final = "bench:release"
"""Where floor servers hear of a release: `release - NUMBER`, as wide as a wake-up."""


def get(audience: str) -> bytes:
    """A GetTokenRequest."""
    return tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=audience)).SerializeToString()


def watch(audience: str) -> bytes:
    """A WatchTokenRequest."""
    return tokens_pb2.WatchTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=audience)).SerializeToString()


def rotate(audience: str) -> bytes:
    """A RotateTokenRequest."""
    return admin_pb2.RotateTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=audience)).SerializeToString()


def generation_of(message: bytes) -> int:
    """Of the token in the answer of GetToken, WatchToken or a floor server: all have it in the same place."""
    return tokens_pb2.GetTokenResponse.FromString(message).token.generation


def fresh_audience() -> str:
    """A key that nobody has asked for yet."""
    return f"https://api-{random.getrandbits(64):016x}.example.com/"
