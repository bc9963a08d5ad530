"""`httpx.Client(auth=MintonceAuth(source))`: needs the extra `mintonce[httpx]`, which is httpx 0.28 or later."""

import asyncio
from collections.abc import AsyncGenerator, Generator

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "mintonce.integrations.httpx needs httpx: pip install 'mintonce[httpx]'", name="httpx"
    ) from error

from mintonce.aio_source import AsyncTokenSource
from mintonce.errors import MintonceError
from mintonce.integrations import _log
from mintonce.source import TokenSource
from mintonce.token import Token


class MintonceAuth(httpx.Auth):
    """Sends the source's token. After a 401 it rejects the token and repeats the request once with the successor.

    A TokenSource serves httpx.Client, and httpx.AsyncClient while the token lives; an AsyncTokenSource serves
    httpx.AsyncClient.
    A request whose body was a stream is not repeated, since it has been read. The token is still rejected.
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
        # A TokenSource is only read here: waiting for it would block the event loop.
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
    """Whether it is a 401 to our token. After a redirect to another host, httpx does not send the token."""
    return response.status_code == 401 and response.request.headers.get("Authorization") == token.header


def _can_repeat(request: httpx.Request) -> bool:
    try:
        request.content  # noqa: B018 - httpx says by raising that the body was a stream
    except httpx.RequestNotRead:
        return False
    return True
