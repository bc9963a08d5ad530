"""npm oidc-provider, certified by the OpenID Foundation."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from interop.issuers.node_programs import installed_version, node_program
from interop.issuers.subject import (
    ALGORITHMS,
    AUDIENCE,
    CLIENT_ID,
    SCOPE,
    SECOND_AUDIENCE,
    Running,
    Subject,
    Workbench,
    secret_client,
    secret_clients,
    signing_clients,
)

from support.nodes import free_ports
from support.signing import jwk

TOML: Final = f"""
[issuers.post]
provider = "oidc-provider"
issuer = "$url"
auth = "client_secret_post"

[issuers.basic]
provider = "oidc-provider"
issuer = "$url"

[issuers.several]
provider = "oidc-provider"
issuer = "$url"
several_audiences = "repeat"

[issuers.signed]
provider = "oidc-provider"
issuer = "$url"
auth = "private_key_jwt"

[issuers.certified]
provider = "oidc-provider"
token_url = "$tls_url/token"
auth = "tls_client_auth"
ca_file = "ca.pem"

{secret_clients()}
{secret_client("several")}
{signing_clients()}
[clients.certified]
issuer = "certified"
client_id = "{CLIENT_ID}-certified"
certificate_file = "client.pem"
key_file = "client.key"
"""


@asynccontextmanager
async def start(bench: Workbench) -> AsyncGenerator[Running]:
    """Its version is that of the lock file."""
    port, tls_port = free_ports(2)
    certificate, key = bench.authority.server_files()
    settings = {
        "port": port,
        "tlsPort": tls_port,
        "url": bench.url,
        "audiences": [AUDIENCE, SECOND_AUDIENCE],
        "scopes": [SCOPE, "orders:write"],
        "clients": list(_clients(bench)),
        "cert": str(certificate),
        "key": str(key),
        "ca": str(bench.authority.ca),
    }
    file = bench.write("oidc.json", json.dumps(settings))
    async with node_program("oidc.js", file, port):
        yield Running(installed_version("oidc-provider"), port, f"https://127.0.0.1:{tls_port}")


def _clients(bench: Workbench) -> list[dict[str, object]]:
    secret: dict[str, object] = {"client_id": CLIENT_ID, "client_secret": bench.plain}
    signing: list[dict[str, object]] = [
        {
            "client_id": f"{CLIENT_ID}-{name}",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": name,
            "jwks": {"keys": [jwk(bench.keys[name])]},
        }
        for name in ALGORITHMS
    ]
    return [
        secret | {"token_endpoint_auth_method": "client_secret_post"},
        secret | {"client_id": f"{CLIENT_ID}-basic", "token_endpoint_auth_method": "client_secret_basic"},
        {
            "client_id": f"{CLIENT_ID}-odd",
            "client_secret": bench.odd,
            "token_endpoint_auth_method": "client_secret_basic",
        },
        *signing,
        {
            "client_id": f"{CLIENT_ID}-certified",
            "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_san_dns": "mintonce.example",
        },
    ]


SUBJECT: Final = Subject(name="oidc-provider", start=start, toml=TOML, odd="a:b%20c+d e&f=/", unknown_scope="dropped")
