"""Takes an address for a gRPC server: a TCP port or a Unix socket."""

import os
from pathlib import Path

import grpc
from grpc import aio


def listen_on(server: aio.Server, listen: str, tls: grpc.ServerCredentials | None, socket_mode: int) -> str:
    """What callers dial. A Unix socket is in clear: who reaches it is decided by its mode. Raises OSError."""
    if listen.startswith("unix:"):
        # Nobody but this user until the mode is right: the umask counts between bind and chmod.
        before = os.umask(0o177)
        try:
            _add_port(server, listen, None)
        finally:
            os.umask(before)
        Path(listen.removeprefix("unix:")).chmod(socket_mode)
        return listen
    return f"{listen.rpartition(':')[0]}:{_add_port(server, listen, tls)}"


def _add_port(server: aio.Server, listen: str, tls: grpc.ServerCredentials | None) -> int:
    try:
        return server.add_insecure_port(listen) if tls is None else server.add_secure_port(listen, tls)
    except RuntimeError as error:  # what grpcio raises for every reason
        raise OSError(f"cannot listen on {listen}: is it in use, or not an address of this machine?") from error
