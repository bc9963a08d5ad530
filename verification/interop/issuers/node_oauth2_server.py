"""npm @node-oauth/oauth2-server, with a model in memory, as its documentation has it."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from interop.issuers.node_programs import installed_version, node_program
from interop.issuers.subject import CLIENT_ID, SCOPE, Running, Subject, Workbench, secret_client, secret_clients

from support.nodes import free_ports

TOML: Final = f"""
[issuers.post]
provider = "oauth2-server"
token_url = "$url/oauth/token"
auth = "client_secret_post"

[issuers.basic]
provider = "oauth2-server"
token_url = "$url/oauth/token"

[issuers.asking]
provider = "oauth2-server"
token_url = "$url/oauth/token"
audience_parameter = "resource"

{secret_clients()}
{secret_client("asking")}
"""


@asynccontextmanager
async def start(bench: Workbench) -> AsyncGenerator[Running]:
    """Its version is that of the lock file."""
    (port,) = free_ports(1)
    clients = [
        {"id": CLIENT_ID, "secret": bench.plain},
        {"id": f"{CLIENT_ID}-basic", "secret": bench.plain},
        {"id": f"{CLIENT_ID}-odd", "secret": bench.odd},
    ]
    file = bench.write("oauth2.json", json.dumps({"port": port, "scopes": [SCOPE], "clients": clients}))
    async with node_program("oauth2.js", file, port):
        yield Running(installed_version("@node-oauth/oauth2-server"), port)


SUBJECT: Final = Subject(
    name="node-oauth2-server",
    start=start,
    toml=TOML,
    odd="a:b%20c+d e&f=/",
    unknown_audience="ignored",
    absent={
        "audience": "it knows neither audience nor resource",
        "several audiences": "it knows neither audience nor resource",
    },
)
