"""Random numbers: one seed, a stream of its own for each purpose, and the product's own randomness on one of them."""

import os
import random
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any


def stream(seed: int, purpose: str) -> random.Random:
    """The same for the same words, in every process."""
    return random.Random(f"{seed} {purpose}")


@contextmanager
def seeded(chance: random.Random) -> Generator[None]:
    """What the product draws, it draws from `chance` while this lasts."""
    real = (random.Random, secrets.token_hex, secrets.token_bytes, os.urandom)

    class Seeded(random.Random):
        """One made without a seed gets one that a rerun gets too."""

        def __init__(self, seed: Any = None) -> None:
            super().__init__(chance.getrandbits(64) if seed is None else seed)

    random.Random = Seeded  # type: ignore[misc,assignment] # undone below
    secrets.token_hex = partial(_token_hex, chance)
    secrets.token_bytes = partial(_token_bytes, chance)
    os.urandom = partial(_token_bytes, chance)
    try:
        yield
    finally:
        random.Random, secrets.token_hex, secrets.token_bytes, os.urandom = real  # type: ignore[misc]


def _token_hex(chance: random.Random, nbytes: int | None = None) -> str:
    return _token_bytes(chance, nbytes).hex()


def _token_bytes(chance: random.Random, nbytes: int | None = None) -> bytes:
    return chance.randbytes(32 if nbytes is None else nbytes)
