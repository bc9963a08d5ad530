"""Counts the functions and files of mintonce_server that one call passes: a hit, a mint, a watch, a rejection.

It runs `mintonced serve` of a checkout under sys.setprofile, with a real Valkey and the practice issuer beside it.
`tools/hops.py --serve` is that process; `tools/house.py` starts it, and prints the counts.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, cast

CALLS: Final = 15
"""Of each kind. Only what every one of them passed is counted: what ran beside one of them by chance drops out."""
PAUSE: Final = 0.2
"""Seconds between two calls: what the first one left to do is over then."""
DEADLINE: Final = 10.0
MEASURE_WITHIN: Final = 120.0
INLINE: Final = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>", "<module>"})
"""Code that Python compiles as a function of its own (3.11), though a reader sees none."""

Passed = dict[str, list[str]]
"""Per kind of call: "file:function" of each function passed."""


async def hops(checkout: Path) -> Passed:
    """Measures a checkout. Raises RuntimeError when its server fails."""
    # Not at the top: the measured process must import these from its own checkout, or not at all.
    from mintonce_dev.practice_issuer import PracticeIssuer
    from mintonce_dev.valkey import EmbeddedValkey
    from mintonce_server.core.secret import Secret

    with tempfile.TemporaryDirectory(prefix="mintonce-hops-") as name:
        directory = Path(name)
        async with EmbeddedValkey(directory / "valkey", persist=False) as valkey:
            with PracticeIssuer({"hops": Secret("practice")}) as issuer:
                settings = {
                    "LISTEN": f"unix:{directory / 's'}",
                    "OAUTH_DOMAIN": issuer.url,
                    "CLIENT_ID": "hops",
                    "CLIENT_SECRET": "practice",
                    "REDIS_URL": valkey.url,
                }
                return await asyncio.to_thread(_measured, checkout, settings)


def _measured(checkout: Path, settings: Mapping[str, str]) -> Passed:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MINTONCE_")}
    path = os.pathsep.join(str(checkout / folder) for folder in ("server", "client/python"))
    environ = kept | {f"MINTONCE_{name}": value for name, value in settings.items()} | {"PYTHONPATH": path}
    command = [sys.executable, str(Path(__file__).resolve()), "--serve"]
    done = subprocess.run(
        command, cwd=checkout, env=environ, capture_output=True, text=True, check=False, timeout=MEASURE_WITHIN
    )
    if done.returncode:
        raise RuntimeError(f"the measured server failed:\n{done.stdout}\n{done.stderr[-4000:]}")
    return dict(json.loads(done.stdout))


class Profile:
    """Which functions of mintonce_server ran in a window."""

    def __init__(self) -> None:
        self._seen: set[CodeType] | None = None

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """For sys.setprofile."""
        seen = self._seen
        if seen is not None and event == "call":
            seen.add(frame.f_code)

    def of(self, act: Callable[[], object]) -> set[str]:
        """Those that ran while `act` did."""
        self._seen = seen = set[CodeType]()
        try:
            act()
        finally:
            self._seen = None
        return set(filter(None, map(_name, seen)))


def _name(code: CodeType) -> str | None:
    before, package, file = code.co_filename.rpartition("/mintonce_server/")
    if not (before and package) or code.co_name in INLINE:
        return None
    return f"{file}:{code.co_qualname}"


class Caller:
    """Calls the server of this process, from a thread of its own."""

    def __init__(self) -> None:
        import grpc

        from mintonce.v1 import tokens_pb2, tokens_pb2_grpc

        self._pb: Any = tokens_pb2
        self._channel = grpc.insecure_channel(os.environ["MINTONCE_LISTEN"])
        self._stub: Any = tokens_pb2_grpc.TokenServiceStub(self._channel)

    def get(self, audience: str) -> int:
        """The generation of the token."""
        asked = self._request("GetToken", audience)
        return int(self._stub.GetToken(asked, timeout=DEADLINE, wait_for_ready=True).token.generation)

    def watch(self, audience: str) -> None:
        """Until the first token."""
        stream = self._stub.WatchToken(self._request("WatchToken", audience), timeout=DEADLINE)
        next(stream)
        stream.cancel()

    def reject(self, audience: str, generation: int) -> None:
        self._stub.RejectToken(self._request("RejectToken", audience, generation=generation), timeout=DEADLINE)

    def _request(self, method: str, audience: str, **more: int) -> Any:
        message = getattr(self._pb, f"{method}Request")(**more)
        key = message.key if "key" in message.DESCRIPTOR.fields_by_name else message
        key.client, key.audience = "default", audience
        return message


def _calls(profile: Profile) -> Passed:
    caller, fresh = Caller(), iter(f"https://api-{number}.example.com/" for number in range(1000))
    held = next(fresh)
    for _ in range(2):
        caller.get(held)  # opens connections, and fills caches
        caller.watch(held)
    windows: dict[str, list[set[str]]] = {"hit": [], "mint": [], "watch": [], "reject": []}

    def window(kind: str, act: Callable[[], object]) -> None:
        time.sleep(PAUSE)
        windows[kind].append(profile.of(act))

    for _ in range(CALLS):
        audience = next(fresh)
        window("hit", partial(caller.get, held))
        window("watch", partial(caller.watch, held))
        window("mint", partial(caller.get, audience))
        window("reject", partial(caller.reject, audience, caller.get(audience)))
    return {kind: sorted(sets[0].intersection(*sets)) for kind, sets in windows.items()}


def serve() -> None:
    """The measured process: `mintonced serve` in the main thread, the caller in another one; prints JSON and ends."""
    profile = Profile()

    def call() -> None:
        code = 1
        try:
            json.dump(_calls(profile), sys.stdout)
            sys.stdout.flush()
            code = 0
        finally:
            os._exit(code)

    # Before the command line is imported, so that the caller's imports do not race with the server's.
    from mintonce_server.__main__ import main

    sys.argv = ["mintonced", "serve"]
    threading.setprofile(cast(Any, profile.note))
    sys.setprofile(cast(Any, profile.note))
    threading.Timer(2.0, call).start()
    sys.exit(main())


if __name__ == "__main__":
    serve()
