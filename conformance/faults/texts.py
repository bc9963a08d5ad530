"""Faults in what is shown, and in the adapters."""

import sys
from collections.abc import AsyncGenerator
from typing import Any

import httpx

from conformance.faults.plant import put
from mintonce import AsyncTokenSource, MintonceError, Token
from mintonce.integrations import _log
from mintonce.integrations.httpx import MintonceAuth


def leaks_in_an_error() -> None:
    proper = AsyncTokenSource.reject

    async def reject(self: Any, token: Token, timeout: float | None = None) -> Token:
        try:
            return await proper(self, token, timeout)
        except MintonceError as error:
            error.add_note(f"it was {token.access_token}")
            raise

    put(AsyncTokenSource, "reject", reject)


def leaks_in_a_print() -> None:
    def in_full(self: Token) -> str:
        return f"Token({self.header})"

    put(Token, "__repr__", in_full)


def leaks_in_the_log() -> None:
    proper = AsyncTokenSource.token

    def token(self: Any) -> Token:
        found = proper(self)
        print("debug:", found.access_token, file=sys.stderr, flush=True)
        return found

    put(AsyncTokenSource, "token", token)


def repeats_a_stream() -> None:
    proper = MintonceAuth.async_auth_flow

    async def flow(self: Any, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        await request.aread()  # so that it can be sent again, whatever the API has done with the first
        steps: Any = proper(self, request)
        response = yield await anext(steps)
        try:
            while True:
                response = yield await steps.asend(response)
        except StopAsyncIteration:
            return

    put(MintonceAuth, "async_auth_flow", flow)


def repeats_for_ever() -> None:
    async def flow(self: Any, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        for _ in range(4):
            token = await self._source.get()
            request.headers["Authorization"] = token.header
            response = yield request
            if response.status_code != 401:
                return
            await self._source.reject(token)

    put(MintonceAuth, "async_auth_flow", flow)


def a_header_to_another_host() -> None:
    def headers(self: Any, request: httpx.Request, url: httpx.URL, method: str) -> httpx.Headers:
        kept = httpx.Headers(request.headers)
        kept["Host"] = url.netloc.decode()
        return kept

    put(httpx.AsyncClient, "_redirect_headers", headers)


def hides_the_apis_401() -> None:
    def raise_it(error: MintonceError) -> None:
        raise error

    put(_log, "not_replaced", raise_it)
