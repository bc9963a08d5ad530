"""What goes wrong, and which alerts must tell."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mintonce import AsyncTokenClient, MintonceError
from mintonce_dev.valkey import EmbeddedValkey
from support.faulty_issuer import NONE, Fault, FaultyIssuer
from support.replicas import Replica

CLIENT: Final = "default"
AUDIENCES: Final = tuple(f"https://api-{number}.example.com/" for number in range(4))
PAUSE: Final = 0.2
"""Seconds between two questions of the caller."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scene may break."""

    issuer: FaultyIssuer
    valkey: EmbeddedValkey
    replicas: list[Replica]
    audit: Path
    keys: Path


Act = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scene:
    """`breaks` and `mends`: what happens. `alerts`: those that must fire, and end once it is mended."""

    name: str
    alerts: frozenset[str]
    breaks: Act
    mends: Act


def issuer_that(fault: Fault) -> tuple[Act, Act]:
    """Answers so, and then well again."""

    async def breaks(stage: Stage) -> None:
        stage.issuer.fault = fault

    async def mends(stage: Stage) -> None:
        stage.issuer.fault = NONE

    return breaks, mends


def store_that_gets(first: signal.Signals, then: signal.Signals) -> tuple[Act, Act]:
    """These signals."""

    async def breaks(stage: Stage) -> None:
        os.kill(stage.valkey.pid, first)

    async def mends(stage: Stage) -> None:
        os.kill(stage.valkey.pid, then)

    return breaks, mends


async def fill_the_disk(stage: Stage) -> None:
    """As far as the audit log can tell."""
    stage.audit.rename(stage.audit.with_suffix(".before"))
    stage.audit.symlink_to("/dev/full")


async def free_the_disk(stage: Stage) -> None:
    stage.audit.unlink()


async def break_the_keys(stage: Stage) -> None:
    stage.keys.rename(stage.keys.with_suffix(".before"))
    stage.keys.touch(mode=0o600)
    stage.keys.write_text("index_key = 7")


async def mend_the_keys(stage: Stage) -> None:
    stage.keys.with_suffix(".before").replace(stage.keys)


async def reject_again_and_again(stage: Stage) -> None:
    """As a caller does whose API refuses every token."""
    async with AsyncTokenClient(stage.replicas[0].target, timeout=10.0) as client:
        for _ in range(30):
            token = await client.get(CLIENT, AUDIENCES[0])
            await client.reject(CLIENT, AUDIENCES[0], generation=token.generation)


async def nothing(_: Stage) -> None:
    """It ends by itself."""


async def stop_all(stage: Stage) -> None:
    for replica in stage.replicas:
        await replica.stop()


SCENES: Final = (
    Scene("the issuer refuses the client", frozenset({"MintonceIssuerRefuses", "MintonceTokenEndsSoon"}),
          *issuer_that(Fault(status=401, body='{"error": "invalid_client"}'))),
    Scene("the issuer is down", frozenset({"MintonceIssuerDown", "MintonceTokenEndsSoon", "MintonceErrors"}),
          *issuer_that(Fault(status=503))),
    Scene("the issuer answers garbage", frozenset({"MintonceIssuerDown", "MintonceTokenEndsSoon"}),
          *issuer_that(Fault(status=200, body="<html>"))),
    Scene("the issuer limits the rate", frozenset({"MintonceThrottled", "MintonceTokenEndsSoon"}),
          *issuer_that(Fault(status=429, retry_after="2"))),
    Scene("the store hangs", frozenset({"MintonceStoreDown", "MintonceStale", "MintonceDegraded"}),
          *store_that_gets(signal.SIGSTOP, signal.SIGCONT)),
    Scene("the audit log cannot be written", frozenset({"MintonceAuditFails"}), fill_the_disk, free_the_disk),
    Scene("a changed file is broken", frozenset({"MintonceReloadRefused"}), break_the_keys, mend_the_keys),
    Scene("an API refuses every token", frozenset({"MintonceWaste"}), reject_again_and_again, nothing),
    Scene("all replicas are stopped", frozenset({"MintonceAbsent"}), stop_all, nothing),
)  # fmt: skip


async def ask(target: str) -> None:
    """A caller that wants a token of each audience, again and again, and takes every error."""
    async with AsyncTokenClient(target, timeout=5.0) as client:
        while True:
            for audience in AUDIENCES:
                try:
                    await client.get(CLIENT, audience)
                except MintonceError:  # what it gets is not what is looked at here
                    pass
            await asyncio.sleep(PAUSE)
