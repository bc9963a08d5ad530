"""The probe of an orchestrator: asks for the server's health again and again, each time on a new connection."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2

PACE: Final = 0.1
PATIENCE: Final = 1.0
"""Seconds that it waits, as Kubernetes does by default."""


@dataclass
class Prober:
    """`took`: seconds of each probe that was answered."""

    took: list[float] = field(default_factory=list[float])
    failed: list[str] = field(default_factory=list[str])

    async def probe(self, target: str, until: asyncio.Event) -> None:
        """Until told to stop."""
        while not until.is_set():
            began = time.monotonic()
            # Its own connection: channels to the same target would share one.
            async with aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                    "/grpc.health.v1.Health/Check"
                )
                try:
                    await check(health_pb2.HealthCheckRequest().SerializeToString(), timeout=PATIENCE)
                    self.took.append(time.monotonic() - began)
                except aio.AioRpcError as error:
                    self.failed.append(f"{error.code().name}: {error.details()}")
            await asyncio.sleep(PACE)
