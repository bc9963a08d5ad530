"""Bodies that are packed."""

import gzip
import tracemalloc

import pytest

from mintonce_server.issuer.body import BadBody, unpack


def test_a_bomb_stays_packed() -> None:
    """50 MB in 49 kB: refusing it takes no more memory than the largest good answer."""
    bomb = gzip.compress(b" " * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(BadBody):
            unpack("gzip", bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
