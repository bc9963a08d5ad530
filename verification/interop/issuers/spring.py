"""Spring Authorization Server: a small program with Spring Boot, built by Maven."""

import http.server
import json
import shutil
import threading
import zipfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from cryptography import x509
from interop.issuers.processes import CACHE, answers, found, prepare, program
from interop.issuers.subject import (
    CLIENT_ID,
    SCOPE,
    Running,
    Subject,
    Workbench,
    secret_client,
    secret_clients,
    signing_clients,
)

from support.nodes import free_ports
from support.signing import jwk

FOLDER: Final = Path(__file__).parent / "spring_app"
TARGET: Final = CACHE / "spring"
ALGORITHMS_TAKEN: Final = ("RS256", "PS256", "ES256", "ES384", "ES512")
STARTS_WITHIN: Final = 600.0
METADATA: Final = "/.well-known/oauth-authorization-server"
TOML: Final = f"""
[issuers.post]
provider = "spring"
issuer = "$url"
auth = "client_secret_post"

[issuers.basic]
provider = "spring"
issuer = "$url"

[issuers.signed]
provider = "spring"
issuer = "$url"
auth = "private_key_jwt"

[issuers.certified]
provider = "spring"
token_url = "$tls_url/oauth2/token"
auth = "tls_client_auth"
ca_file = "ca.pem"

[issuers.asking]
provider = "spring"
issuer = "$url"
audience_parameter = "resource"

{secret_clients()}
{secret_client("asking")}
{signing_clients(ALGORITHMS_TAKEN)}
[clients.certified]
issuer = "certified"
client_id = "{CLIENT_ID}-certified"
certificate_file = "client-chain.pem"
key_file = "client.key"
"""


@asynccontextmanager
async def start(bench: Workbench) -> AsyncGenerator[Running]:
    """Raises NotHere without Java or Maven."""
    java, jar = found("java"), _built()
    port, tls_port = free_ports(2)
    with _serving(_key_sets(bench)) as jwks_url:
        settings = {
            "example": {"port": port, "scopes": [SCOPE], "clients": _clients(bench, jwks_url)},
            "server": {"port": tls_port, "address": "127.0.0.1", "ssl": _tls(bench)},
        }
        # JSON is YAML, too.
        file = bench.write("application.yaml", json.dumps(settings))
        words = [java, "-jar", str(jar), f"--spring.config.location=file:{file}"]
        async with program(words, bench.folder / "spring.log", answers(port, METADATA), within=STARTS_WITHIN):
            yield Running(_version(jar), port, f"https://127.0.0.1:{tls_port}")


def _clients(bench: Workbench, jwks_url: str) -> list[dict[str, str]]:
    secrets = [
        {"id": CLIENT_ID, "method": "client_secret_post", "secret": f"{{noop}}{bench.plain}"},
        {"id": f"{CLIENT_ID}-basic", "method": "client_secret_basic", "secret": f"{{noop}}{bench.plain}"},
        {"id": f"{CLIENT_ID}-odd", "method": "client_secret_basic", "secret": f"{{noop}}{bench.odd}"},
    ]
    signing = [
        {"id": f"{CLIENT_ID}-{name}", "method": "private_key_jwt", "algorithm": name, "jwks": f"{jwks_url}/{name}.json"}
        for name in ALGORITHMS_TAKEN
    ]
    certificate = (bench.folder / "client.pem").read_text()
    # A certificate without its issuer's is taken for self_signed_tls_client_auth.
    bench.write("client-chain.pem", certificate + bench.authority.ca.read_text())
    # As Java writes names: it escapes more than RFC 4514 asks for.
    subject = x509.load_pem_x509_certificate(certificate.encode()).subject.rfc4514_string().replace("#", r"\#")
    return [*secrets, *signing, {"id": f"{CLIENT_ID}-certified", "method": "tls_client_auth", "subject": subject}]


def _tls(bench: Workbench) -> dict[str, str]:
    certificate, key = bench.authority.server_files()
    return {
        "certificate": f"file:{certificate}",
        "certificate-private-key": f"file:{key}",
        "trust-certificate": f"file:{bench.authority.ca}",
        "client-auth": "want",
    }


def _key_sets(bench: Workbench) -> Path:
    """A folder with a key set (RFC 7517) for each algorithm: Spring reads them by HTTP only."""
    folder = bench.folder / "jwks"
    folder.mkdir()
    for name in ALGORITHMS_TAKEN:
        (folder / f"{name}.json").write_text(json.dumps({"keys": [{**jwk(bench.keys[name]), "use": "sig"}]}))
    return folder


@contextmanager
def _serving(folder: Path) -> Generator[str]:
    """The folder's files by HTTP on loopback."""
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def _built() -> Path:
    jar = TARGET / "mintonce-interop-spring-1.jar"
    sources = [FOLDER / "pom.xml", *FOLDER.rglob("*.java")]
    if not jar.exists() or any(source.stat().st_mtime > jar.stat().st_mtime for source in sources):
        # Maven builds beside its pom.xml: a copy, so that nothing is made in the repository.
        copy = CACHE / "spring-source"
        shutil.copytree(FOLDER, copy, dirs_exist_ok=True)
        prepare(["mvn", "-q", "-B", "package"], folder=copy, what="Spring by Maven")
        TARGET.mkdir(exist_ok=True)
        shutil.copy(copy / "target" / jar.name, jar)
    return jar


def _version(jar: Path) -> str:
    with zipfile.ZipFile(jar) as archive:
        library = next(name for name in archive.namelist() if "oauth2-authorization-server-7" in name)
    return library.rpartition("-")[2].removesuffix(".jar")


SUBJECT: Final = Subject(
    name="spring",
    start=start,
    toml=TOML,
    unknown_audience="ignored",
    absent={"several audiences": "it knows neither audience nor resource"},
)
