"""What docs/operating/kubernetes.md promises, without a cluster: the files of a pod, and the real server on them."""

import asyncio
import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Generator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode, urlsplit

import pytest

from deploy.manifests import CHART, PLAIN, Manifest, of_kind, read_yaml, rendered
from deploy.tests.pods import container, mount
from mintonce import AsyncTokenClient, BearerFile, Refused, Tls, Token
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.core.secret import Secret
from mintonce_server.store.keyring import new_keyring
from support.certificates import Authority
from support.eventually import eventually
from support.jwts import Signer, claims
from support.replicas import replica

BY_TOKEN = CHART / "ci" / "callers-by-token-values.yaml"
HOST = "mintonce.mintonce.svc.cluster.local"
ISSUER = "https://kubernetes.default.svc.cluster.local"
AUDIENCE = "https://api.example.com/"
POD_TOKEN = "token-of-the-pod"


@pytest.fixture
def cluster(tmp_path: Path) -> Authority:
    """The authority of the cluster's API server."""
    return Authority(tmp_path, "cluster")


@pytest.fixture
def signer() -> Signer:
    """Signs service-account tokens."""
    return Signer("cluster-key")


@pytest.fixture
def keys_url(cluster: Authority, signer: Signer) -> Generator[str]:
    """Where the API server shows its public keys, to those who have a token of a service account."""
    issued = cluster.server("api-server")

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            knows = self.headers.get("Authorization") == f"Bearer {POD_TOKEN}"
            body = signer.jwks() if knows else b"{}"
            self.send_response(200 if knows else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate, issued.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}/openid/v1/jwks"
        finally:
            server.shutdown()
            thread.join(timeout=10)


def manifests_for(directory: Path, issuer: PracticeIssuer, keys_url: str) -> list[Manifest]:
    """The usual way of use, with what stands on this machine instead of the internet."""
    here = {
        "config": {
            "token_endpoint": {"listen": "0.0.0.0:8443"},
            "issuers": {"acme": {"domain": None, "token_url": issuer.token_url, "request": "json"}},
        },
        "serviceAccountTokens": {"jwks": {"url": keys_url}},
    }
    values = directory / "here.json"
    values.write_text(json.dumps(here))
    return rendered([BY_TOKEN, values])


async def first_token(billing: AsyncTokenClient) -> Token | None:
    """None while the server has not read the public keys yet: it does as soon as it runs."""
    try:
        return await billing.get("billing", AUDIENCE)
    except Refused:
        return None


@pytest.mark.slow
async def test_a_service_account_gets_its_first_token(
    tmp_path: Path, cluster: Authority, signer: Signer, keys_url: str
) -> None:
    """By a projected token, the certificate of the Service's name, and the example's policy; from the token endpoint
    the same one, with the projected token as client_secret. Another account gets none.
    """
    served = Authority(tmp_path, "mintonce-ca")
    pair = served.issue("mintonce", dns=[HOST])
    secret, root = "the-secret-of-billing", tmp_path / "pod"
    async with EmbeddedValkey(tmp_path / "valkey", persist=False) as valkey:
        with PracticeIssuer({"my-client-id": Secret(secret)}, log=tmp_path / "posts") as issuer:
            manifests = manifests_for(tmp_path, issuer, keys_url)
            config = mount(manifests, root, {
                "secrets": {
                    "redis-url": valkey.url.encode(),
                    "sealing.toml": new_keyring().encode(),
                    "billing": secret.encode(),
                },
                "tls": {"tls.crt": pair.certificate.read_bytes(), "tls.key": pair.key.read_bytes()},
                "cluster": {"token": POD_TOKEN.encode(), "ca.crt": cluster.ca.read_bytes()},
            })  # fmt: skip
            listeners = ("LISTEN", "HEALTH_LISTEN", "HTTP__LISTEN", "TOKEN_ENDPOINT__LISTEN")
            addresses = dict.fromkeys(listeners, "127.0.0.1:0")
            async with replica(tmp_path, {"CONFIG": str(config), **addresses}) as server:
                tls = Tls(ca_file=served.ca, server_name=HOST)
                async with client(server.target, tls, projected(tmp_path, signer, "billing")) as billing:
                    token = await eventually(lambda: first_token(billing), bool, within=20.0)
                assert token is not None
                async with client(server.target, tls, projected(tmp_path, signer, "other")) as other:
                    with pytest.raises(Refused):
                        await other.get("billing", AUDIENCE)
                (serving,) = server.events("serving")
                answers = [
                    await asyncio.to_thread(
                        by_http, str(serving["token_endpoint"]), served.ca, tmp_path / f"{name}.jwt"
                    )
                    for name in ("billing", "other")
                ]

    assert token.access_token
    assert answers[0] == (200, token.access_token)
    assert answers[1] == (400, "unauthorized_client")
    assert server.events("keys_unavailable") == []


def client(target: str, tls: Tls, bearer: Path) -> AsyncTokenClient:
    return AsyncTokenClient(target, tls=tls, bearer=BearerFile(bearer))


def by_http(url: str, ca: Path, bearer: Path) -> tuple[int, str]:
    """What an OAuth library gets whose client_secret is read from a file: the status, and the token or the error."""
    context = ssl.create_default_context(cafile=str(ca))
    address = urlsplit(url)
    raw = socket.create_connection((str(address.hostname), int(address.port or 443)), timeout=10)
    with closing(http.client.HTTPSConnection(HOST)) as connection:
        connection.sock = context.wrap_socket(raw, server_hostname=HOST)
        asked = {"grant_type": "client_credentials", "client_id": "billing", "client_secret": bearer.read_text()}
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/oauth/token", urlencode({**asked, "audience": AUDIENCE}), form)
        answer = connection.getresponse()
        said: dict[str, str] = json.loads(answer.read())
    return answer.status, said.get("access_token", said.get("error", ""))


def projected(directory: Path, signer: Signer, account: str) -> Path:
    """The file that the kubelet writes for a service account of the namespace shop, as the example asks for it."""
    caller = of_kind(read_yaml((PLAIN / "caller.yaml").read_text()), "Deployment")["spec"]["template"]["spec"]
    (volume,) = (one for one in caller["volumes"] if "projected" in one)
    asked = volume["projected"]["sources"][0]["serviceAccountToken"]
    subject = f"system:serviceaccount:shop:{account}"
    path = directory / f"{account}.jwt"
    path.touch(mode=0o600)
    lifetime = asked["expirationSeconds"]
    now = time.time()
    path.write_text(
        signer.token(claims(now, iss=ISSUER, aud=[asked["audience"]], sub=subject, exp=int(now) + lifetime))
    )
    return path


def test_the_example_of_a_caller_names_the_server_as_its_certificate_does() -> None:
    """Else the first call fails in the handshake."""
    caller = of_kind(read_yaml((PLAIN / "caller.yaml").read_text()), "Deployment")
    variables = {item["name"]: item["value"] for item in caller["spec"]["template"]["spec"]["containers"][0]["env"]}
    manifests = rendered([BY_TOKEN])
    port = next(port["containerPort"] for port in container(manifests)["ports"] if port["name"] == "grpc")

    assert variables["MINTONCE_TARGET"] == f"dns:///{HOST}:{port}"
    assert HOST in of_kind(manifests, "Certificate")["spec"]["dnsNames"]
    mounted = [place["mountPath"] for place in container([caller])["volumeMounts"]]
    assert {os.path.dirname(variables[f"MINTONCE_{name}_FILE"]) for name in ("CA", "BEARER")} == set(mounted)
