"""The servicers: convert, ask, convert."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from mintonce.v1 import admin_pb2, tokens_pb2
from mintonce_server.api.convert import key_of, min_ttl_of, rejected_of, summary_message, token_message
from mintonce_server.api.listing import MAX_PAGE_SIZE, Page, page_size_of, page_token_of, place_after
from mintonce_server.api.usage import Lifetimes, month_of, not_counted, usage_message
from mintonce_server.calls.call import Call
from mintonce_server.calls.tokens import TokenCalls
from mintonce_server.common.clock import Clock
from mintonce_server.core.broker import Broker
from mintonce_server.core.key import TokenKey
from mintonce_server.core.policy import Act
from mintonce_server.core.usage import UsageCounter


class TokenService:
    """protos/mintonce/v1/tokens.proto."""

    def __init__(self, calls: TokenCalls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock

    async def GetToken(self, request: tokens_pb2.GetTokenRequest, call: Call) -> tokens_pb2.GetTokenResponse:
        served = await self._calls.get(call, lambda: (key_of(request), min_ttl_of(request)))
        response = tokens_pb2.GetTokenResponse()
        token_message(served, self._clock.monotonic(), into=response.token)
        return response

    async def WatchToken(
        self, request: tokens_pb2.WatchTokenRequest, call: Call
    ) -> AsyncGenerator[tokens_pb2.WatchTokenResponse, None]:
        async with aclosing(self._calls.watch(call, lambda: key_of(request))) as tokens:
            async for served in tokens:
                yield tokens_pb2.WatchTokenResponse(token=token_message(served, self._clock.monotonic()))

    async def RejectToken(self, request: tokens_pb2.RejectTokenRequest, call: Call) -> tokens_pb2.RejectTokenResponse:
        was_current = await self._calls.reject(call, lambda: (key_of(request), rejected_of(request)))
        return tokens_pb2.RejectTokenResponse(was_current=was_current)


class AdminService:
    """protos/mintonce/v1/admin.proto."""

    def __init__(self, broker: Broker, calls: TokenCalls, clock: Clock, usage: UsageCounter | None) -> None:
        self._broker = broker
        self._clock = clock
        self._authorizer = calls.authorizer
        self._usage = usage
        self._turns = calls.lists

    async def ListTokens(self, request: admin_pb2.ListTokensRequest, call: Call) -> admin_pb2.ListTokensResponse:
        call.begin_span()
        with self._authorizer.authorize(call, Act.ADMIN) as scope:
            scope.allow_listing(request.client)
            after = place_after(request.page_token, request.client)
            page = Page(page_size_of(request.page_size), after, scope.may_list)
            async with self._turns.turn(scope.name, call.deadline()):
                listing = await self._broker.list_tokens(request.client, MAX_PAGE_SIZE, page.offer)
        tokens, last = page.tokens()
        now = self._clock.monotonic()
        return admin_pb2.ListTokensResponse(
            tokens=[summary_message(token, now) for token in tokens],
            next_page_token=page_token_of(request.client, last),
            incomplete=listing.truncated,
        )

    async def RotateToken(self, request: admin_pb2.RotateTokenRequest, call: Call) -> admin_pb2.RotateTokenResponse:
        call.request_id()
        call.begin_span()
        with self._authorizer.authorize(call, Act.ADMIN) as scope:
            key = self._broker.canonical(key_of(request))
            scope.allow(key)
            scope.admit_mint()
            before, after = await self._broker.rotate(key, call.deadline(), scope.name)
        return admin_pb2.RotateTokenResponse(previous_generation=before, generation=after)

    async def GetUsage(self, request: admin_pb2.GetUsageRequest, call: Call) -> admin_pb2.GetUsageResponse:
        with self._authorizer.authorize(call, Act.ADMIN) as scope:
            scope.allow_usage(request.client)
            month = month_of(request)
            self._broker.require_client(TokenKey.of(request.client, "").client)
            if self._usage is None:
                raise not_counted()
            used, lifetimes = await self._usage.usage(request.client, month), Lifetimes(scope.may_list)
            async with self._turns.turn(scope.name, call.deadline()):
                await self._broker.list_tokens(request.client, MAX_PAGE_SIZE, lifetimes.offer)
        quotas, now = self._usage.quotas_of(request.client), self._usage.store_time()
        return usage_message(used, lifetimes.needed(used.month), quotas, now)
