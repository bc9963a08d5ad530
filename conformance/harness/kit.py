"""Types of the fixtures, for those who use them."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from conformance.harness.testee import Testee
from conformance.servers.scripted import Scripted

Start: TypeAlias = Callable[[Mapping[str, str]], Testee]
"""Starts a testee with these variables in its environment."""
Serve: TypeAlias = Callable[..., Scripted]
"""Starts a server; arguments as those of Scripted."""
