"""No connection: each cause has words and a remedy of its own."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from mintonce import Refused, TokenClient, Unreachable
from mintonce._unreachable import Link, explain
from support.scripted_server import CLIENT, ScriptedServer
from support.tls_grpc import Certificates

FAILED = "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:443: "
TLS_FAILED = f"{FAILED}Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:1000007d:SSL routines:"
CLEAR = Link("mintonce.example:443", tls=False)
TLS = Link("mintonce.example:443", tls=True)


@pytest.mark.parametrize(
    ("details", "link", "why", "remedy"),
    [
        (f"{FAILED}Failed to connect to remote host: Connection refused", CLEAR, "nothing listens", "Is mintonced run"),
        (f"{FAILED}Connection refused", Link("localhost:443", tls=False), "nothing listens", "127.0.0.1 and [::1]"),
        (f"{FAILED}Connection refused", Link("dns:///localhost:443", tls=True), "nothing listens", "[::1]"),
        (f"{FAILED}connect failed: addr: unix:/x error: No such file or directory", CLEAR, "nothing listens", "target"),
        (f"{FAILED}Failed to connect to remote host: Connection timed out", TLS, "does not reach", "firewall"),
        ("errors resolving x:443: [field:hostname lookup error:Domain name not found]", TLS, "resolved", "host name"),
        (f"{FAILED}Socket closed", CLEAR, "closes the connection", "MINTONCE_CA_FILE"),
        (f"{FAILED}recvmsg:Connection reset by peer", CLEAR, "closes the connection", "MINTONCE_CA_FILE"),
        (f"{FAILED}Socket closed", TLS, "closes the connection", "MINTONCE_CERTIFICATE_FILE"),
        (f"{FAILED}Socket closed", Link("x:1", tls=True, shows_certificate=True), "closes", "that the server trusts"),
        (f"{FAILED}Socket closed", Link("the given channel", tls=None), "closes the connection", "meant to be TLS"),
        (f"{TLS_FAILED}OPENSSL_internal:WRONG_VERSION_NUMBER", TLS, "does not speak TLS", "right port"),
        (f"{TLS_FAILED}CERTIFICATE_VERIFY_FAILED: unable to get local issuer", TLS, "not from a CA", "--ca-file"),
        (f"{TLS_FAILED}CERTIFICATE_VERIFY_FAILED: certificate has expired: OK", TLS, "has expired", "Renew it"),
        (
            f"{FAILED}Custom check failed: Hostname Verification Check failed.",
            TLS,
            "name",
            "--server-name",
        ),
        (f"{FAILED}Failed parsing HTTP/2 (Expected SETTINGS frame)", CLEAR, "does not speak gRPC", "web server"),
        (f"{FAILED}HTTP proxy returned response code 501", TLS, "HTTP proxy", "no_proxy"),
        ("Socket closed", TLS, "connection was lost (Socket closed)", "Call again"),
        (f"{FAILED}something new", CLEAR, "something new", "Is mintonced running"),
        ("", CLEAR, "no details", "Call again"),
    ],
)
def test_each_cause_has_its_remedy(details: str, link: Link, why: str, remedy: str) -> None:
    """In few words."""
    said = explain(details, link, {})
    assert why in said[0]
    assert remedy in said[1]
    assert len(said[0]) < 100


@pytest.mark.parametrize(
    ("environ", "target", "named"),
    [
        ({"https_proxy": "http://user:secret@proxy:3128"}, "mintonce.example:443", "https_proxy"),
        ({"http_proxy": "http://proxy:3128"}, "dns:///mintonce.example:443", "http_proxy"),
        ({"https_proxy": "http://proxy", "no_proxy": "localhost, .example"}, "mintonce.example:443", ""),
        ({"https_proxy": "http://proxy"}, "unix:/run/mintonce", ""),
        ({}, "mintonce.example:443", ""),
    ],
)
def test_a_proxy_that_may_be_the_reason_is_named(environ: dict[str, str], target: str, named: str) -> None:
    """By its variable; what is in it may be secret."""
    _, remedy = explain(f"{FAILED}Connection refused", Link(target, tls=True), environ)
    assert (f"the proxy of the variable {named}:" in remedy) is bool(named)
    assert "secret" not in remedy


@pytest.mark.parametrize(
    ("target", "rest"),
    [
        ("http://127.0.0.1:50051", "127.0.0.1:50051."),
        ("HTTPS://u:pass@mintonce.example:443/x", "mintonce.example:443. F"),
    ],
)
def test_a_url_is_refused_before_anything_is_sent(target: str, rest: str) -> None:
    """With what to write instead, and nothing of a password."""
    with pytest.raises(Refused, match="scheme") as caught:
        TokenClient(target)
    assert rest in caught.value.remedy
    assert "pass" not in f"{caught.value} {caught.value.remedy}"


def test_a_server_in_clear_is_distinguished_from_one_that_is_away(
    server: ScriptedServer, certificates: Certificates
) -> None:
    """To a client that speaks TLS."""
    with (
        TokenClient(server.target, tls=certificates.tls()) as client,
        pytest.raises(Unreachable, match="not speak TLS"),
    ):
        client.get(CLIENT)


def test_a_web_server_is_distinguished_from_one_that_is_away(web_server: str) -> None:
    """A port was taken for another."""
    with TokenClient(web_server) as client, pytest.raises(Unreachable, match="does not speak gRPC"):
        client.get(CLIENT)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
def web_server() -> Iterator[str]:
    class Quiet(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Quiet) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()
