"""What `mintonced check` says of the token endpoint: whether its address can be had, and what its clients lack."""

import errno
import os
import socket
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mintonce_server.common.causes import Cause
from mintonce_server.config import Settings


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """`notes`: information that is not a fault."""

    faults: tuple[Cause, ...] = ()
    notes: tuple[str, ...] = ()


async def probe_token_endpoint(settings: Settings) -> EndpointReport:
    """Try the address for a moment. An address that is in use is no fault: the server itself may be running."""
    listen = settings.token_endpoint.listen or ""
    fault, note = _try_path(listen) if listen.startswith("unix:") else _try_port(listen)
    notes = (*([note] if note else ()), *advice(settings))
    return EndpointReport((fault,) if fault else (), notes)


def advice(settings: Settings) -> Iterator[str]:
    """About the clients, as OAuth libraries will find them. Pure."""
    users = defaultdict[str, list[str]](list)
    for name, client in settings.clients.items():
        users[client.client_id].append(name)
    for client_id, names in users.items():
        # A name goes before a client_id: it always means the client of that name.
        if len(names) > 1 and client_id not in settings.clients:
            yield (
                f"token endpoint: {', '.join(names)} have one client_id at their issuers:"
                " libraries must send the name as client_id"
            )
        if client_id in settings.clients and client_id not in names:
            yield (
                f"token endpoint: the client_id of {', '.join(names)} is the name of another client, {client_id}:"
                " libraries that send it get that one's token"
            )
    if without := [name for name, client in settings.clients.items() if client.default_audience is None]:
        yield (
            f"token endpoint: without default_audience: {', '.join(without)}."
            " Libraries that send no audience ask for the empty one there"
        )


def _try_port(listen: str) -> tuple[Cause | None, str]:
    host, _, port = listen.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                tried.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None, f"token endpoint: {listen} is in use, by the running server or by another program"
        why = error.strerror or type(error).__name__
        return Cause(f"cannot listen on {listen} ({why})", "Choose an address of this machine, and a free port."), ""
    return None, ""


def _try_path(listen: str) -> tuple[Cause | None, str]:
    path = Path(listen.removeprefix("unix:"))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return Cause(
            f"cannot listen on {listen}: its folder is not there, or not writable",
            f"Create {path.parent} for the server.",
        ), ""
    return None, ""
