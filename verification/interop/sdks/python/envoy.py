"""A real Envoy whose credential injector gets the token, before an API that says which token it got.

Envoy asks for tokens by its own clock. An "ask" here is a request of the API through Envoy, by Unix sockets.
"""

import http.client
import json
import os
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from asking import AUDIENCE, CLIENT_ID, CLIENT_SECRET, TOKEN_URL, Failed, answer

FIRST_TOKEN_WITHIN = 10.0
TYPES = "type.googleapis.com/envoy.extensions"


def bootstrap(folder: Path) -> dict[str, Any]:
    """Envoy's configuration. The secret is in a file of its own."""
    door = urlsplit(TOKEN_URL)
    endpoint = {"socket_address": {"address": door.hostname, "port_value": door.port}}
    trust = {
        "trusted_ca": {"filename": os.environ["SDK_CA_FILE"]},
        "match_typed_subject_alt_names": [{"san_type": "IP_ADDRESS", "matcher": {"exact": door.hostname}}],
    }
    tls = {
        "@type": f"{TYPES}.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {"validation_context": trust},
    }
    filters = [
        {"name": "credential_injector", "typed_config": injector(folder)},
        {"name": "router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}},
    ]
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "api",
        "route_config": {
            "virtual_hosts": [
                {"name": "api", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "api"}}]}
            ]
        },
        "http_filters": filters,
    }
    listener = {
        "address": {"pipe": {"path": str(folder / "envoy.sock")}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    api = cluster("api", {"pipe": {"path": str(folder / "api.sock")}})
    tokens = cluster("mintonce", endpoint) | {"transport_socket": {"name": "tls", "typed_config": tls}}
    node = {"id": "interop", "cluster": "interop"}  # a secret by file needs them
    return {"node": node, "static_resources": {"listeners": [listener], "clusters": [api, tokens]}}


def injector(folder: Path) -> dict[str, Any]:
    """The filter."""
    secret = {"name": "mintonce", "sds_config": {"path_config_source": {"path": str(folder / "secret.json")}}}
    oauth2 = {
        "@type": f"{TYPES}.http.injected_credentials.oauth2.v3.OAuth2",
        "token_endpoint": {"uri": TOKEN_URL, "cluster": "mintonce", "timeout": "5s"},
        "client_credentials": {"client_id": CLIENT_ID, "client_secret": secret},
        "endpoint_params": [{"name": "audience", "value": AUDIENCE}],
    }
    return {
        "@type": f"{TYPES}.filters.http.credential_injector.v3.CredentialInjector",
        "overwrite": True,
        "credential": {"name": "oauth2", "typed_config": oauth2},
    }


def cluster(name: str, address: dict[str, Any]) -> dict[str, Any]:
    """One upstream of one address."""
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


def secret_file() -> dict[str, Any]:
    """What Envoy's secret discovery service reads."""
    secret = {
        "@type": f"{TYPES}.transport_sockets.tls.v3.Secret",
        "name": "mintonce",
        "generic_secret": {"secret": {"inline_string": CLIENT_SECRET}},
    }
    return {"resources": [secret]}


class Api(BaseHTTPRequestHandler):
    """Says which token it got."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.headers.get("Authorization", "").encode()
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class ApiServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """On a Unix socket."""

    daemon_threads = True


class Connection(http.client.HTTPConnection):
    """To Envoy's Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("api.example.com", timeout=10.0)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def token(path: Path) -> str:
    """By one request. Raises Failed if Envoy answers in the API's place."""
    connection = Connection(path)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status != 200 or not text.startswith("Bearer "):
        raise Failed(f"Envoy answers {response.status}: {text}")
    return text.removeprefix("Bearer ")


def wait_for_token(path: Path, envoy: subprocess.Popen[bytes]) -> None:
    """Envoy asks by itself when it starts; it needs a few seconds. Gives up where it gets none."""
    give_up_at = time.monotonic() + FIRST_TOKEN_WITHIN
    while envoy.poll() is None and time.monotonic() < give_up_at:
        try:
            token(path)
        except (Failed, OSError):
            time.sleep(0.1)
        else:
            return


def write(file: Path, content: dict[str, Any]) -> str:
    """JSON, which is YAML, too; only this user can read it. Its path."""
    file.touch(mode=0o600)
    file.write_text(json.dumps(content))
    return str(file)


with tempfile.TemporaryDirectory(prefix="envoy-") as name:
    folder = Path(name)
    server = ApiServer(str(folder / "api.sock"), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    write(folder / "secret.json", secret_file())
    program = Path(sys.executable).parent / "envoy"
    words = ["--config-path", write(folder / "envoy.json", bootstrap(folder)), "--disable-hot-restart"]
    envoy = subprocess.Popen([program, *words, "--concurrency", "2", "--log-level", "error"], stdin=subprocess.DEVNULL)
    try:
        wait_for_token(folder / "envoy.sock", envoy)
        answer(lambda: token(folder / "envoy.sock"))
    finally:
        envoy.terminate()
        envoy.wait()
