"""The counting proxy: what `make interop` counts POSTs with."""

import http.client
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from interop.issuers.proxy import CountingProxy, counting_proxy


class _Echo(BaseHTTPRequestHandler):
    """Answers 401 with what it was sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(401)
        self.send_header("X-Host", self.headers["Host"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def proxy() -> Generator[CountingProxy]:
    """Before a server that echoes."""
    with HTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with counting_proxy() as counting:
            counting.upstream = server.server_port
            yield counting
        server.shutdown()
        thread.join()


def post(proxy: CountingProxy, body: bytes) -> tuple[int, str | None, bytes]:
    """Status, X-Host and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10.0)
    try:
        connection.request("POST", "/token", body)
        answer = connection.getresponse()
        return answer.status, answer.getheader("X-Host"), answer.read()
    finally:
        connection.close()


def test_requests_and_answers_pass_and_are_counted(proxy: CountingProxy) -> None:
    """The server sees the proxy's address as its own: it makes its URLs of that."""
    assert post(proxy, b"a=1") == (401, f"127.0.0.1:{proxy.port}", b"a=1")
    assert [(seen.method, seen.path, seen.status, seen.body) for seen in proxy.posts()] == [
        ("POST", "/token", 401, b"a=1")
    ]


def test_what_passed_is_not_shown(proxy: CountingProxy) -> None:
    """A body may hold a token."""
    post(proxy, b"a-secret")
    assert "a-secret" not in repr(proxy.exchanges)


def test_an_outage_refuses_connections_and_ends(proxy: CountingProxy) -> None:
    """On the same port afterwards."""
    proxy.stop()
    with pytest.raises(ConnectionRefusedError):
        post(proxy, b"a=1")
    proxy.start()
    assert post(proxy, b"a=2")[0] == 401
