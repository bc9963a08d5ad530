"""`make alerts`: real replicas, a real Prometheus, one fault after the other; which alerts fire, and after how long."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from alerts.prometheus import Prometheus, binary, prometheus
from alerts.scenes import SCENES, Scene, Stage, ask

from deploy.promtool import CannotBeHad
from mintonce_dev.valkey import EmbeddedValkey
from support.commands import mintonced
from support.replicas import replica
from support.surroundings import issuer_with_log, smallest_settings

LIFETIME: Final = 20.0
"""Of tokens, in seconds."""
LONGEST: Final = 90.0
"""Seconds within which alerts must fire, and must end."""
QUIET: Final = 10.0
"""Seconds that a healthy fleet is watched for."""


class Result(NamedTuple):
    """What was seen: after how many seconds the alerts fired (None: not all did), and which others fired."""

    scene: str
    missing: frozenset[str]
    seconds: float
    others: frozenset[str]
    still: frozenset[str]


def main() -> int:
    """0 if each alert fired in its scene and ended after it, and none fired before; 0 also without Prometheus."""
    try:
        program = binary()
    except CannotBeHad as error:
        print(f"left out: alerts in a real Prometheus, because {error}")
        return 0
    directory = Path(tempfile.mkdtemp(prefix="mo-alerts-"))
    results = asyncio.run(run(program, directory))
    good = [_is_good(result) for result in results]
    print(f"alerts: {sum(good)} passed, {len(good) - sum(good)} failed")
    if not all(good):
        print(f"The logs are in {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


def _is_good(result: Result) -> bool:
    return not result.missing and not result.still


def _told(result: Result) -> Result:
    """Printed as soon as it is known."""
    words = [f"{'ok' if _is_good(result) else 'FAILED':<6} {result.scene}: {result.seconds:.0f} s"]
    for title, names in (("missing", result.missing), ("also fired", result.others), ("did not end", result.still)):
        if names:
            words.append(f"{title} {', '.join(sorted(names))}")
    print("; ".join(words), flush=True)
    return result


async def run(program: Path, directory: Path) -> list[Result]:
    """All scenes."""
    keys, audit = directory / "sealing.toml", directory / "audit.jsonl"
    keys.touch(mode=0o600)
    keys.write_text((await mintonced("keygen", directory=directory)).out)
    async with AsyncExitStack() as running:
        valkey = await running.enter_async_context(EmbeddedValkey(directory / "valkey", persist=False))
        issuer = running.enter_context(issuer_with_log(directory / "posts.jsonl", LIFETIME))
        settings = {
            **smallest_settings(issuer, valkey.url),
            "HTTP__LISTEN": "127.0.0.1:0",
            "AUDIT_FILE": str(audit),
            "SEALING_KEYS_FILE": str(keys),
            "CLIENTS__DEFAULT__KEEP_WARM": "true",
            "MIN_ROTATION_INTERVAL": "0",
            "LIMITS__REJECTS_PER_SECOND": "100",
            "LIMITS__REJECT_BURST": "100",
        }
        replicas = [await running.enter_async_context(replica(directory, settings)) for _ in range(2)]
        targets = [urlsplit(str(each.events("serving")[0]["http"])).netloc for each in replicas]
        server = await running.enter_async_context(prometheus(program, directory, targets))
        callers = [asyncio.create_task(ask(each.target)) for each in replicas]
        try:
            stage = Stage(issuer, valkey, replicas, audit, keys)
            return [_told(await _healthy(server)), *[_told(await _play(scene, stage, server)) for scene in SCENES]]
        finally:
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)


async def _healthy(server: Prometheus) -> Result:
    """No alert fires while nothing is wrong, but for the first moments."""
    async with asyncio.timeout(LONGEST):
        while await server.scraped() < 2:  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.5)
    await _until(server, lambda firing: not firing)
    fired, began = set[str](), asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - began < QUIET:
        fired |= await server.firing()
        await asyncio.sleep(0.5)
    return Result("nothing is wrong", frozenset(), QUIET, frozenset(), frozenset(fired))


async def _play(scene: Scene, stage: Stage, server: Prometheus) -> Result:
    began = asyncio.get_running_loop().time()
    await scene.breaks(stage)
    fired = await _until(server, lambda firing: scene.alerts <= firing)
    took = asyncio.get_running_loop().time() - began
    await scene.mends(stage)
    is_last = scene is SCENES[-1]
    if not is_last:
        await _until(server, lambda firing: not firing)
    still = frozenset() if is_last else await server.firing()
    return Result(scene.name, scene.alerts - fired, took, frozenset(fired - scene.alerts), frozenset(still))


async def _until(server: Prometheus, is_enough: Callable[[set[str]], bool]) -> set[str]:
    """Wait until the alerts that fire, all together since the beginning, are enough, or it takes too long."""
    seen = set[str]()
    try:
        async with asyncio.timeout(LONGEST):
            while True:
                now = await server.firing()
                seen |= now
                if is_enough(now) or (seen and is_enough(seen)):
                    return seen
                await asyncio.sleep(0.5)
    except TimeoutError:
        return seen
