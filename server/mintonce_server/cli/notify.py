"""Tells the service manager (systemd) that the server has started, that it works, and that it stops; sd_notify(3)."""

import asyncio
import os
import random
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from mintonce_server.common.clock import SystemClock
from mintonce_server.core.supervise import Start, Supervisor
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import FaultLog

MIN_WATCHDOG: Final = 0.1
"""Seconds. A shorter time for a ping is an error in the unit file, and would keep the loop busy."""

PINGS_PER_WATCHDOG: Final = 3
"""One ping can be lost, and one can be late."""

RETRY_SECONDS: Final = 1.0
"""How soon a message that was not taken is sent again."""


class ServiceManager:
    """Sends states to the socket that NOTIFY_SOCKET names. Without that variable nothing is sent.

    Nothing here raises, blocks or logs: the service works without a service manager. States that the manager did not
    take are kept, the latest of each kind, and sent again.

    Attributes:
        watchdog: seconds within which the manager wants a ping; None: it wants none.
    """

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._unsent: dict[str, str] = {}
        self.watchdog = _watchdog(environ, pid)

    @property
    def is_there(self) -> bool:
        """Whether there is a service manager that wants to be told."""
        return self._address is not None

    def ready(self, address: str) -> None:
        """The service answers calls at this address."""
        self._tell(READY="1", STATUS=f"Serving at {address}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._tell(STATUS=text)

    def stopping(self) -> None:
        """The service drains, and then ends."""
        self._tell(STOPPING="1", STATUS="Draining: calls in progress finish, watches move to other replicas")

    def endless(self, stopping: asyncio.Event) -> dict[str, Start]:
        """The tasks to supervise: pings from the event loop, so that a stuck loop sends none; and word of the end."""
        if not self.is_there:
            return {}

        async def tell_the_end() -> None:
            await stopping.wait()
            self.stopping()
            await asyncio.Event().wait()

        return {"service manager": self._keep_told, "word of the end": tell_the_end}

    async def _keep_told(self) -> None:
        while True:
            if self.watchdog is None:
                self._tell()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._tell(WATCHDOG="1")
                await asyncio.sleep(self.watchdog / PINGS_PER_WATCHDOG)

    def _tell(self, **states: str) -> None:
        self._unsent |= {name: " ".join(value.split()) for name, value in states.items()}
        if self._unsent and self._sent("\n".join(f"{name}={value}" for name, value in self._unsent.items())):
            self._unsent.clear()

    def _sent(self, message: str) -> bool:
        if self._address is None:
            return True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(message.encode(errors="replace"), self._address)
        except Exception:  # noqa: BLE001 - a full queue, a manager that restarts, no rights: tried again
            return False
        return True


@asynccontextmanager
async def service_manager(stopping: asyncio.Event) -> AsyncGenerator[ServiceManager]:
    """The manager that the environment names, told about this process until the block is left."""
    manager = ServiceManager(os.environ, os.getpid())  # noqa: TID251 - set by the manager for this process, not a setting
    clock = SystemClock()
    faults = FaultLog(clock, get_logger(__name__))
    async with Supervisor(clock, faults, random.Random()).running(manager.endless(stopping)):  # noqa: S311 - spreads restarts
        yield manager


def _address(text: str) -> str | None:
    """The address of the socket as Python writes it; None for none, and for kinds other than Unix sockets."""
    if len(text) < 2 or text[0] not in "/@":
        return None
    return f"\0{text[1:]}" if text[0] == "@" else text


def _watchdog(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds, from WATCHDOG_USEC, if WATCHDOG_PID names this process or none; see sd_watchdog_enabled(3)."""
    for_pid, microseconds = environ.get("WATCHDOG_PID", ""), environ.get("WATCHDOG_USEC", "")
    if for_pid and for_pid != str(pid):
        return None
    if not (microseconds.isascii() and microseconds.isdecimal() and len(microseconds) < 20):
        return None
    seconds = int(microseconds) / 1e6
    return max(seconds, MIN_WATCHDOG) if seconds else None
