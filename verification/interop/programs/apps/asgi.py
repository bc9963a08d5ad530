"""An ASGI application for uvicorn's workers. Its own source belongs to the worker's loop, the module's to none."""

# It runs in an environment of its own, with packages that this one lacks:
# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from service import AUDIENCE, CLIENT, shown, source

from mintonce import AsyncTokenSource

Message = MutableMapping[str, Any]
opened: list[AsyncTokenSource] = []


async def application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """One line of JSON. The source is open as long as the worker is."""
    if scope["type"] == "lifespan":
        await receive()
        async with AsyncTokenSource(CLIENT, AUDIENCE) as own:
            opened.append(own)
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    source.get()
    body = shown(await opened[0].get()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
