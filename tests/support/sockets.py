"""Connections on which nothing is said."""

import socket


def bare_connection(port: int) -> socket.socket:
    """To a server on loopback."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10.0)
    connection.setblocking(False)
    return connection


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has not closed it."""
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
