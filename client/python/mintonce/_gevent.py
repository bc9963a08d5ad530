"""gevent: gRPC's calls stand still in a process that it has patched, until gRPC has been told."""

import sys
from typing import Any, Final

from mintonce.errors import MintonceError

_LINES: Final = (
    "Add these lines right after monkey.patch_all(): "
    "import grpc.experimental.gevent; grpc.experimental.gevent.init_gevent()"
)


def prepare() -> None:
    """Before a channel is opened, for threads. Tells gRPC of gevent, once, where the process is patched."""
    if not _is_patched():
        return
    known: Any = sys.modules.get("grpc._cython.cygrpc")  # gRPC's stubs do not have it
    if getattr(known, "g_gevent_activated", False):
        return
    try:
        from grpc.experimental.gevent import init_gevent

        init_gevent()
    except Exception as error:
        raise MintonceError(
            "gevent has patched this process, and gRPC does not know", reason="GEVENT", remedy=_LINES
        ) from error


def refuse() -> None:
    """Before a channel is opened, for asyncio: gRPC's asyncio half needs threads that gevent has replaced."""
    if _is_patched():
        raise MintonceError(
            "gRPC's asyncio half stands still in a process that gevent has patched",
            reason="GEVENT",
            remedy="Use TokenSource or TokenClient instead: under gevent they wait without blocking other greenlets.",
        )


def _is_patched() -> bool:
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))
