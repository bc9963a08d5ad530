"""Keycloak: the distribution from Maven Central, built once for an in-memory database, with a realm of its own."""

import json
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from interop.issuers.processes import CACHE, answers, found, prepare, program
from interop.issuers.subject import (
    ALGORITHMS,
    AUDIENCE,
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

VERSION: Final = "26.7.3"
HOME: Final = CACHE / f"keycloak-{VERSION}"
REALM: Final = "example"
BUILT_FOR: Final = ("--db=dev-mem", "--cache=local", "--https-client-auth=request")
STARTS_WITHIN: Final = 600.0
TOML: Final = f"""
[issuers.post]
provider = "keycloak"
issuer = "$url/realms/{REALM}"
auth = "client_secret_post"

[issuers.basic]
provider = "keycloak"
issuer = "$url/realms/{REALM}"

[issuers.signed]
provider = "keycloak"
issuer = "$url/realms/{REALM}"
auth = "private_key_jwt"

[issuers.certified]
provider = "keycloak"
issuer = "$tls_url/realms/{REALM}"
auth = "tls_client_auth"
ca_file = "ca.pem"

[issuers.asking]
provider = "keycloak"
issuer = "$url/realms/{REALM}"
audience_parameter = "resource"

{secret_clients()}
{secret_client("asking")}
{signing_clients()}
[clients.certified]
issuer = "certified"
client_id = "{CLIENT_ID}-certified"
certificate_file = "client.pem"
key_file = "client.key"
"""


@asynccontextmanager
async def start(bench: Workbench) -> AsyncGenerator[Running]:
    """In a home of its own, which borrows the programs of the built one. Raises NotHere without Java or Maven."""
    found("java")
    _built()
    home = bench.folder / "keycloak"
    (home / "bin").mkdir(parents=True)
    (home / "data" / "import").mkdir(parents=True, mode=0o700)
    shutil.copy2(HOME / "bin" / "kc.sh", home / "bin" / "kc.sh")
    for name in ("lib", "conf", "providers", "themes"):
        (home / name).symlink_to(HOME / name)
    bench.write("keycloak/data/import/realm.json", json.dumps(_realm(bench)))
    port, tls_port = free_ports(2)
    certificate, key = bench.authority.server_files()
    options = {
        "http-enabled": "true",
        "http-host": "127.0.0.1",
        "http-port": port,
        "https-port": tls_port,
        "https-certificate-file": certificate,
        "https-certificate-key-file": key,
        "truststore-paths": bench.authority.ca,
        # Its own URL is the one by which it is asked.
        "hostname-strict": "false",
    }
    words = [str(home / "bin" / "kc.sh"), "start", "--optimized", "--import-realm"]
    words += [f"--{name}={value}" for name, value in options.items()]
    log = bench.folder / "keycloak.log"
    async with program(words, log, answers(port, f"/realms/{REALM}"), within=STARTS_WITHIN):
        yield Running(VERSION, port, f"https://127.0.0.1:{tls_port}")


def _built() -> None:
    stamp = HOME / ".built"
    built_for = " ".join(BUILT_FOR)
    if stamp.exists() and stamp.read_text() == built_for:
        return
    if not HOME.exists():
        _fetch()
    script = HOME / "bin" / "kc.sh"
    script.chmod(0o755)  # zipfile forgets modes
    prepare([str(script), "build", *BUILT_FOR], folder=HOME, what="kc.sh build")
    stamp.write_text(built_for)


def _fetch() -> None:
    artifact = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
    maven = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={CACHE}"]
    CACHE.mkdir(parents=True, exist_ok=True)
    prepare(maven, folder=CACHE, what="Keycloak from Maven Central")
    archive = CACHE / f"keycloak-quarkus-dist-{VERSION}.zip"
    shutil.unpack_archive(archive, CACHE)
    archive.unlink()


def _realm(bench: Workbench) -> dict[str, object]:
    secrets = {CLIENT_ID: bench.plain, f"{CLIENT_ID}-basic": bench.plain, f"{CLIENT_ID}-odd": bench.odd}
    return {
        "realm": REALM,
        "enabled": True,
        "sslRequired": "none",
        "clientScopes": [
            {"name": SCOPE, "protocol": "openid-connect", "attributes": {"include.in.token.scope": "true"}}
        ],
        "clients": [
            *(_client(name, secret=secret) for name, secret in secrets.items()),
            *(
                _client(
                    f"{CLIENT_ID}-{name}",
                    clientAuthenticatorType="client-jwt",
                    attributes={
                        "token.endpoint.auth.signing.alg": name,
                        "use.jwks.string": "true",
                        "jwks.string": json.dumps({"keys": [_verifies(jwk(bench.keys[name]), name)]}),
                    },
                )
                for name in ALGORITHMS
            ),
            _client(
                f"{CLIENT_ID}-certified",
                clientAuthenticatorType="client-x509",
                attributes={"x509.allow.regex.pattern.comparison": "true", "x509.subjectdn": ".*O=trustme.*"},
            ),
        ],
    }


_SCOPE: Final = {"name": SCOPE, "protocol": "openid-connect", "attributes": {"include.in.token.scope": "true"}}


def _verifies(key: Mapping[str, object], algorithm: str) -> dict[str, object]:
    # Without `use` Keycloak finds no key for signatures.
    return {**key, "use": "sig", "alg": algorithm}


def _client(client_id: str, **fields: object) -> dict[str, object]:
    """A client with a service account. The audience comes from a mapper: Keycloak ignores one in the request."""
    mapper = {
        "name": "audience",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": AUDIENCE, "access.token.claim": "true"},
    }
    return {
        "clientId": client_id,
        "serviceAccountsEnabled": True,
        "standardFlowEnabled": False,
        "publicClient": False,
        "optionalClientScopes": [SCOPE],
        "protocolMappers": [mapper],
        **fields,
    }


SUBJECT: Final = Subject(
    name="keycloak",
    start=start,
    toml=TOML,
    metadata=(
        f"/realms/{REALM}/.well-known/openid-configuration",
        f"/.well-known/oauth-authorization-server/realms/{REALM}",
        f"/realms/{REALM}/.well-known/oauth-authorization-server",
    ),
    unknown_audience="ignored",
    absent={"several audiences": "all that the mappers name are in each token"},
)
