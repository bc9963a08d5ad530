"""A client's and a server's network with a router between them, which can forget connections as a NAT or firewall does.

Three network namespaces in a row, made by `unshare` in a user namespace: no privileges are needed, and nothing of this
machine changes. They vanish when their processes end, which hold a pipe to this one.
"""

import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Final, Self

CLIENT: Final = "192.0.2.2"
CLIENT_SIDE: Final = "192.0.2.1"
SERVER: Final = "198.51.100.2"
SERVER_SIDE: Final = "198.51.100.1"
"""Addresses for documents (RFC 5737): they exist nowhere else."""

_TOOLS: Final = ("unshare", "nsenter", "ip", "sysctl")
_ESTABLISHED: Final = "01"
_WITHIN: Final = 20.0
_LISTEN: Final = """
import socket, sys
with socket.socket(fileno=int(sys.argv[1])) as pipe, socket.create_server((sys.argv[2], 0)) as listener:
    socket.send_fds(pipe, [b"x"], [listener.fileno()])
"""


@cache
def why_not() -> str:
    """What keeps this machine from making such networks; "" if nothing does."""
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"not installed: {' '.join(missing)}"
    try:
        with Router():
            return ""
    except OSError as error:
        return f"no network namespaces for this user: {error}"


class _Namespace:
    """A network without a connection to any other. It ends with the process that holds it."""

    def __init__(self, *enter: str) -> None:
        privileges = () if enter else ("--user", "--map-root-user")
        self._holder = subprocess.Popen(
            [*enter, "unshare", *privileges, "--net", "sh", "-c", "echo; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        if not self._holder.stdout.readline():
            said = self._holder.stderr.read().decode(errors="replace").strip()
            self.close()
            raise OSError(said or "unshare failed")
        self.pid = self._holder.pid
        self.enter = ("nsenter", f"--target={self.pid}", "--user", "--preserve-credentials", "--net")

    def run(self, command: str) -> None:
        done = subprocess.run(
            [*self.enter, *command.split()], capture_output=True, text=True, check=False, timeout=_WITHIN
        )
        if done.returncode:
            raise OSError(f"{command}: {done.stderr.strip()}")

    def close(self) -> None:
        self._holder.communicate(timeout=_WITHIN)  # its stdin closes


class Router:
    """Use it in a `with`.

    Attributes:
        inside: what a command begins with that is to run in the client's network.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        with ExitStack() as stack:
            self._router = _Namespace()
            stack.callback(self._router.close)
            self._client = _Namespace(*self._router.enter)
            stack.callback(self._client.close)
            self._server = _Namespace(*self._router.enter)
            stack.callback(self._server.close)
            self._router.run("sysctl -q -w net.ipv4.ip_forward=1")
            self._connect(self._client, CLIENT, CLIENT_SIDE)
            self._connect(self._server, SERVER, SERVER_SIDE)
            self.inside = self._client.enter
            self._stack = stack.pop_all()

    def _connect(self, side: _Namespace, address: str, gateway: str) -> None:
        near = f"to{side.pid}"
        self._router.run(f"ip link add {near} type veth peer name far netns {side.pid}")
        self._router.run(f"ip address add {gateway}/24 dev {near}")
        self._router.run(f"ip link set {near} up")
        side.run("ip link set lo up")
        side.run(f"ip address add {address}/24 dev far")
        side.run("ip link set far up")
        side.run(f"ip route add default via {gateway}")

    def listen(self) -> socket.socket:
        """A listener in the server's network. The process that accepts from it may be outside."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(_WITHIN)
            subprocess.run(
                [*self._server.enter, sys.executable, "-c", _LISTEN, str(theirs.fileno()), SERVER],
                pass_fds=[theirs.fileno()],
                check=True,
                timeout=_WITHIN,
            )
            _, (number, *_), *_ = socket.recv_fds(ours, 1, 1)
            return socket.socket(fileno=number)

    def connections(self) -> list[int]:
        """The client's ports of those that are open now."""
        tables = [Path(f"/proc/{self._client.pid}/net/{name}").read_text("ascii") for name in ("tcp", "tcp6")]
        rows = [line.split() for table in tables for line in table.splitlines()[1:]]
        return [int(local.rpartition(":")[2], 16) for _, local, _, state, *_ in rows if state == _ESTABLISHED]

    def forget(self) -> list[int]:
        """From now on, packets of the connections of now go nowhere, without a word. New connections work."""
        ports = self.connections()
        for port in ports:
            for end in ("sport", "dport"):
                self._router.run(f"ip rule add pref 1 ipproto tcp {end} {port} blackhole")
        return ports

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
