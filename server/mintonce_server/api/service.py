"""The servicers: convert, ask the broker, convert."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from mintonce.v1 import admin_pb2, admin_pb2_grpc, tokens_pb2, tokens_pb2_grpc
from mintonce_server.api.authorize import Gate
from mintonce_server.api.calls import deadline_of, name_call, streaming, unary
from mintonce_server.api.context import Context
from mintonce_server.api.convert import key_of, min_ttl_of, rejected_of, summary_message, token_message
from mintonce_server.api.listing import MAX_PAGE_SIZE, ListTurns, Page, page_size_of, page_token_of, place_after
from mintonce_server.core.broker import Broker
from mintonce_server.core.policy import Act
from mintonce_server.core.ports import Clock


class TokenService(tokens_pb2_grpc.TokenServiceServicer):
    """protos/mintonce/v1/tokens.proto."""

    def __init__(self, broker: Broker, clock: Clock, gate: Gate) -> None:
        self._broker = broker
        self._clock = clock
        self._gate = gate

    @unary
    async def GetToken(self, request: tokens_pb2.GetTokenRequest, context: Context) -> tokens_pb2.GetTokenResponse:
        with self._gate.passing(context, Act.GET) as passage:
            key, min_ttl = key_of(request), min_ttl_of(request)
            passage.allow(key)
            served = self._broker.peek(key, min_ttl)
            if served is None:
                name_call(context)
                served = await self._broker.get(key, min_ttl, deadline_of(context), passage.admit_mint, passage.name)
                passage.check()  # it may have taken a while
            passage.answer(served)
        response = tokens_pb2.GetTokenResponse()
        token_message(served, self._clock.monotonic(), into=response.token)
        return response

    @streaming
    async def WatchToken(
        self, request: tokens_pb2.WatchTokenRequest, context: Context
    ) -> AsyncGenerator[tokens_pb2.WatchTokenResponse, None]:
        name_call(context)
        with self._gate.passing(context, Act.WATCH, watching=True) as passage:
            key = key_of(request)
            passage.allow(key)
            watch = self._broker.watch(key, deadline_of(context), passage.admit_mint, passage.check, passage.name)
            async with aclosing(watch) as tokens:
                async for served in tokens:
                    passage.check()
                    passage.answer(served)
                    self._gate.sent(context, passage)
                    yield tokens_pb2.WatchTokenResponse(token=token_message(served, self._clock.monotonic()))

    @unary
    async def RejectToken(
        self, request: tokens_pb2.RejectTokenRequest, context: Context
    ) -> tokens_pb2.RejectTokenResponse:
        name_call(context)
        with self._gate.passing(context, Act.REJECT) as passage:
            key, passage.rejected = key_of(request), rejected_of(request)
            passage.allow(key)
            passage.admit_reject()
            was_current = await self._broker.reject(key, passage.rejected, passage.name)
        return tokens_pb2.RejectTokenResponse(was_current=was_current)


class AdminService(admin_pb2_grpc.AdminServiceServicer):
    """protos/mintonce/v1/admin.proto."""

    def __init__(self, broker: Broker, clock: Clock, gate: Gate) -> None:
        self._broker = broker
        self._clock = clock
        self._gate = gate
        self._turns = ListTurns()

    @unary
    async def ListTokens(self, request: admin_pb2.ListTokensRequest, context: Context) -> admin_pb2.ListTokensResponse:
        with self._gate.passing(context, Act.ADMIN) as passage:
            passage.allow_listing(request.client)
            after = place_after(request.page_token, request.client)
            page = Page(page_size_of(request.page_size), after, passage.may_list)
            async with self._turns.turn(passage.name, deadline_of(context)):
                listing = await self._broker.list_tokens(request.client, MAX_PAGE_SIZE, page.offer)
        tokens, last = page.tokens()
        now = self._clock.monotonic()
        return admin_pb2.ListTokensResponse(
            tokens=[summary_message(token, now) for token in tokens],
            next_page_token=page_token_of(request.client, last),
            incomplete=listing.truncated,
        )

    @unary
    async def RotateToken(
        self, request: admin_pb2.RotateTokenRequest, context: Context
    ) -> admin_pb2.RotateTokenResponse:
        name_call(context)
        with self._gate.passing(context, Act.ADMIN) as passage:
            key = key_of(request)
            passage.allow(key)
            passage.admit_mint()
            before, after = await self._broker.rotate(key, deadline_of(context), passage.name)
        return admin_pb2.RotateTokenResponse(previous_generation=before, generation=after)
