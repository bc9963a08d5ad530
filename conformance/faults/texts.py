"""Faults in what is shown, and in the adapters."""

import sys
from typing import Any

import httpx

from mintonce import AsyncTokenSource, MintonceError, Token
from mintonce.integrations import httpx as adapter
from mintonce.integrations.httpx import MintonceAuth


def leaks_in_an_error() -> None:
    proper = AsyncTokenSource.reject

    async def reject(self: Any, token: Token, timeout: float | None = None) -> Token:
        try:
            return await proper(self, token, timeout)
        except MintonceError as error:
            error.add_note(f"it was {token.access_token}")
            raise

    AsyncTokenSource.reject = reject  # type: ignore[method-assign]


def leaks_in_a_print() -> None:
    Token.__repr__ = lambda self: f"Token({self.header})"  # type: ignore[method-assign]


def leaks_in_the_log() -> None:
    proper = AsyncTokenSource.token

    def token(self: Any) -> Token:
        found = proper(self)
        print("debug:", found.access_token, file=sys.stderr, flush=True)
        return found

    AsyncTokenSource.token = token  # type: ignore[method-assign]


def repeats_a_stream() -> None:
    proper = MintonceAuth.async_auth_flow

    async def flow(self: Any, request: httpx.Request) -> Any:
        await request.aread()  # so that it can be sent again, whatever the API has done with the first
        steps = proper(self, request)
        response = yield await anext(steps)
        try:
            while True:
                response = yield await steps.asend(response)
        except StopAsyncIteration:
            return

    MintonceAuth.async_auth_flow = flow  # type: ignore[method-assign, assignment]


def repeats_for_ever() -> None:
    async def flow(self: Any, request: httpx.Request) -> Any:
        for _ in range(4):
            token = await self._source.get()
            request.headers["Authorization"] = token.header
            response = yield request
            if response.status_code != 401:
                return
            await self._source.reject(token)

    MintonceAuth.async_auth_flow = flow  # type: ignore[method-assign, assignment]


def a_header_to_another_host() -> None:
    def headers(self: Any, request: httpx.Request, url: httpx.URL, method: str) -> httpx.Headers:
        kept = httpx.Headers(request.headers)
        kept["Host"] = url.netloc.decode()
        return kept

    httpx.AsyncClient._redirect_headers = headers  # type: ignore[method-assign]


def hides_the_apis_401() -> None:
    def raise_it(error: MintonceError) -> None:
        raise error

    adapter._log.not_replaced = raise_it
