"""GetUsage: who may ask, and of which keys the answer is."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from mintonce.v1 import admin_pb2, admin_pb2_grpc
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.core.policy import Act, Policy, Rule
from support.gatehouse import Gatehouse, gatehouse, rule
from support.house import AUDIENCE, CLIENT

ADMIN = frozenset({Act.ADMIN})


async def usage_of(guarded: Gatehouse, caller: str) -> admin_pb2.GetUsageResponse:
    """As this caller is answered."""
    bearer = (("authorization", f"Bearer {guarded.keys[caller]}"),)
    async with grpc.aio.insecure_channel(guarded.replica.target) as channel:
        admin: Any = admin_pb2_grpc.AdminServiceStub(channel)
        answer: admin_pb2.GetUsageResponse = await admin.GetUsage(
            admin_pb2.GetUsageRequest(client=CLIENT), metadata=bearer, timeout=10.0
        )
    return answer


async def test_tokens_are_needed_for_the_keys_that_the_caller_administers(
    tmp_path: Path, issuer: PracticeIssuer
) -> None:
    """An administrator of some keys does not learn how many keys others have."""
    async with gatehouse(tmp_path, issuer) as guarded, guarded.caller("billing") as billing:
        guarded.policy = Policy(
            [
                rule("users", "key:billing"),
                rule("all", "key:operator", may=ADMIN),
                Rule("one", ("key:cart",), (CLIENT,), (AUDIENCE,), ("",), ADMIN),
            ]
        )
        for scopes in ((), ("orders:read",)):
            await billing.get(CLIENT, AUDIENCE, scopes)
        every, mine = await usage_of(guarded, "operator"), await usage_of(guarded, "cart")
    assert mine.needed > 0
    assert every.needed == 2 * mine.needed
    assert every.minted == mine.minted  # what a client costs is one bill


async def test_only_who_administers_keys_of_the_client_is_told(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """A caller that uses them is not."""
    async with gatehouse(tmp_path, issuer) as guarded:
        guarded.policy = Policy([rule("users", "key:billing", may=frozenset({Act.GET}))])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await usage_of(guarded, "billing")
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
