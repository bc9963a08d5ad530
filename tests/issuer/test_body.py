"""Compressed bodies."""

import gzip
import tracemalloc

import pytest

from mintonce_server.common.bounded_body import BadBody, decompress
from mintonce_server.issuer.http import MAX_BODY


def test_a_bomb_is_not_decompressed() -> None:
    """50 MB in 49 kB: refusing it takes no more memory than the largest good answer."""
    bomb = gzip.compress(b" " * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(BadBody):
            decompress("gzip", bomb, MAX_BODY)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
