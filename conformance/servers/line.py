"""A TCP proxy on loopback: a load balancer that a case can cut, freeze and lead elsewhere."""

import socket
import threading
from typing import Self


class _Pair:
    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.ends = (near, far)
        self.frozen = False

    def close(self) -> None:
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already
            end.close()


class Line:
    """New connections lead to `backend`, a port on 127.0.0.1; 0: they are accepted and closed at once.

    Args:
        listener: where they come in; a port of 127.0.0.1 by default.

    Attributes:
        opened: how many connections came.
    """

    def __init__(self, backend: int, listener: socket.socket | None = None) -> None:
        self.backend = backend
        self.opened = 0
        self._pairs: list[_Pair] = []
        self._lock = threading.Lock()
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        host, self.port = self._listener.getsockname()
        self.target = f"{host}:{self.port}"
        self._thread = threading.Thread(target=self._accept, name="line", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Close every connection that is open now."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.close()

    def freeze(self) -> None:
        """Connections of now carry nothing more, and stay open: as when a middlebox has forgotten them."""
        with self._lock:
            for pair in self._pairs:
                pair.frozen = True

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            self.opened += 1
            try:
                if not self.backend:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self.backend), 2.0)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            pair = _Pair(near, far)
            with self._lock:
                self._pairs.append(pair)
            for source, sink in (pair.ends, pair.ends[::-1]):
                threading.Thread(target=_carry, args=(pair, source, sink), name="line", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._thread.join(5)


def _carry(pair: _Pair, source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            if not pair.frozen:
                sink.sendall(data)
    except OSError:
        pass  # the other direction has closed both
    if not pair.frozen:
        pair.close()
