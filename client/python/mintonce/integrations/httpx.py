"""`httpx.Client(auth=MintonceAuth(source))`: needs httpx 0.28 or later (`pip install 'mintonce[httpx]'`)."""

import asyncio
from collections.abc import AsyncGenerator, Generator

import httpx

from mintonce.aio_source import AsyncTokenSource
from mintonce.errors import MintonceError
from mintonce.integrations import _log
from mintonce.source import TokenSource
from mintonce.token import Token


class MintonceAuth(httpx.Auth):
    """Sends the source's token. After a 401 it rejects the token and repeats the request once with the successor.

    A TokenSource serves httpx.Client, and httpx.AsyncClient while the token lives; an AsyncTokenSource serves
    httpx.AsyncClient.
    A request whose body was a stream is not repeated: it has been read. The token is rejected all the same.
    """

    def __init__(self, source: TokenSource | AsyncTokenSource) -> None:
        self._source = source

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if isinstance(self._source, AsyncTokenSource):
            raise TypeError("an AsyncTokenSource cannot serve httpx.Client: use a TokenSource")
        token = self._source.get()
        request.headers["Authorization"] = token.header
        response = yield request
        if _was_refused(response, token):
            try:
                successor = self._source.reject(token)
            except MintonceError as error:
                _log.not_replaced(error)
                return
            if _can_repeat(request):
                request.headers["Authorization"] = successor.header
                yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        source = self._source
        # Waiting in a thread's way would stop the event loop: a TokenSource is only read here, never waited for.
        token = source.token() if isinstance(source, TokenSource) else await source.get()
        request.headers["Authorization"] = token.header
        response = yield request
        if _was_refused(response, token):
            try:
                successor = await _reject(source, token)
            except MintonceError as error:
                _log.not_replaced(error)
                return
            if _can_repeat(request):
                request.headers["Authorization"] = successor.header
                yield request


async def _reject(source: TokenSource | AsyncTokenSource, token: Token) -> Token:
    if isinstance(source, AsyncTokenSource):
        return await source.reject(token)
    return await asyncio.to_thread(source.reject, token)


def _was_refused(response: httpx.Response, token: Token) -> bool:
    """A 401 to our token; not one of another host, after a redirect, to which httpx did not send it."""
    return response.status_code == 401 and response.request.headers.get("Authorization") == token.header


def _can_repeat(request: httpx.Request) -> bool:
    try:
        request.content  # noqa: B018 - httpx says by raising that the body was a stream
    except httpx.RequestNotRead:
        return False
    return True
