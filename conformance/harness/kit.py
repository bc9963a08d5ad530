"""What the cases share: types of the fixtures, and features that a testee may lack."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import pytest

from conformance.harness.testee import Testee
from conformance.servers.scripted import Scripted

Start: TypeAlias = Callable[[Mapping[str, str]], Testee]
"""Starts a testee with these variables in its environment."""
Serve: TypeAlias = Callable[..., Scripted]
"""Starts a server; arguments as those of Scripted."""

BUSY: Final = 8.0
"""Seconds that a busy machine may add to what is done at once. What cases tell apart is further away than that."""


def needs(testee: Testee, feature: str) -> None:
    """Leaves a case out where the testee says that its language lacks the feature. The table of results shows it."""
    if feature not in testee.features:
        pytest.skip(f"unsupported: {feature}")
