"""The blocking half of the client is made from the asyncio half, and offers the same."""

import inspect

import pytest

from mintonce import AsyncTokenClient, AsyncTokenSource, TokenClient, TokenSource


@pytest.mark.parametrize(("one", "other"), [(AsyncTokenClient, TokenClient), (AsyncTokenSource, TokenSource)])
def test_both_halves_take_the_same(one: type, other: type) -> None:
    """Calls and arguments, but for how they are opened and closed."""

    def calls(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(call).parameters)
            for name, call in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") and name not in ("close", "aclose", "open")
        }

    assert calls(one) == calls(other)
