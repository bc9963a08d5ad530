"""What no message can hold is refused with an error of the library, by both clients alike."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from mintonce import AsyncTokenClient, Refused, Tls, TokenClient
from support.scripted_server import CLIENT, ScriptedServer

NO_TEXT = "caf\udce9"

CALLS: list[tuple[str, Callable[[Any], object]]] = [
    ("client", lambda client: client.get(NO_TEXT)),
    ("audience", lambda client: client.get(CLIENT, NO_TEXT)),
    ("scope", lambda client: client.get(CLIENT, "", ["read", NO_TEXT])),
    ("scope", lambda client: client.get(CLIENT, "", f"read {NO_TEXT}")),
    ("min_ttl", lambda client: client.get(CLIENT, min_ttl=1e17)),
    ("min_ttl", lambda client: client.get(CLIENT, min_ttl=timedelta.max)),
    ("min_ttl", lambda client: client.get(CLIENT, min_ttl=float("inf"))),
    ("min_ttl", lambda client: client.get(CLIENT, min_ttl=float("nan"))),
    ("generation", lambda client: client.reject(CLIENT, generation=1 << 63)),
    ("generation", lambda client: client.reject(CLIENT, generation=-(1 << 63) - 1)),
    ("page_size", lambda client: client.list_tokens(page_size=1 << 31)),
    ("page_token", lambda client: client.list_tokens(page_token=NO_TEXT)),
    ("client", lambda client: client.list_tokens(NO_TEXT)),
    ("audience", lambda client: client.rotate(CLIENT, NO_TEXT)),
    ("audience", lambda client: client.watch(CLIENT, NO_TEXT)),
]


@pytest.mark.parametrize(("what", "call"), CALLS)
def test_a_call_that_cannot_be_sent_is_refused(
    server: ScriptedServer, what: str, call: Callable[[Any], object]
) -> None:
    """Before it is sent, by the name of what is wrong, with a remedy."""

    async def asynchronously() -> None:
        async with AsyncTokenClient(server.target) as client:
            if isinstance(result := call(client), Awaitable):
                await result

    with TokenClient(server.target) as client, pytest.raises(Refused, match=what) as caught:
        call(client)
    with pytest.raises(Refused, match=what) as caught_later:
        asyncio.run(asynchronously())
    for error in (caught.value, caught_later.value):
        assert error.reason == "INVALID_REQUEST"
        assert error.remedy
    assert server.calls == {}


@pytest.mark.parametrize(
    ("what", "make"),
    [
        ("target", lambda: TokenClient(NO_TEXT)),
        ("server_name", lambda: TokenClient("127.0.0.1:1", tls=Tls(server_name=NO_TEXT))),
    ],
)
def test_an_address_that_is_no_text_is_refused(what: str, make: Callable[[], TokenClient]) -> None:
    """When the client is made."""
    with pytest.raises(Refused, match=what):
        make()
