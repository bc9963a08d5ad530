"""A TLS server that says by an alert why it refuses. asyncio's hangs up before the alert is sent."""

import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress


@contextmanager
def strict_tls(context: ssl.SSLContext) -> Generator[int]:
    """Accepts every TLS handshake until the end of the block; gives its port. It never answers anything."""
    open_now: list[socket.socket] = []

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                peer, _ = listening.accept()
                open_now.append(peer)
                with suppress(OSError):
                    peer.settimeout(5.0)
                    secured = context.wrap_socket(peer, server_side=True)
                    open_now.append(secured)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5.0)
            for each in open_now:
                each.close()
