"""A service manager: the other end of NOTIFY_SOCKET."""

import select
import socket


class Manager:
    """The other end of NOTIFY_SOCKET. `address`: a path, or @NAME for an abstract socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.messages: list[list[str]] = []

    def read(self) -> list[list[str]]:
        """All messages so far: of each, its lines."""
        while True:
            try:
                self.messages.append(self._socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return self.messages

    def heard(self, line: str) -> bool:
        """Whether this line was in a message so far."""
        return any(line in message for message in self.read())

    def last_status(self) -> str:
        """The last STATUS line; "" before the first."""
        lines = [line for message in self.read() for line in message if line.startswith("STATUS=")]
        return lines[-1] if lines else ""

    def comes_within(self, seconds: float) -> bool:
        """Whether a further message comes; waits without the event loop."""
        self.read()
        return bool(select.select([self._socket], [], [], seconds)[0])

    def close(self) -> None:
        """Nobody listens any more."""
        self._socket.close()
