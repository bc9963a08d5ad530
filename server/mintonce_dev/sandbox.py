"""`mintonced dev`: an embedded Valkey, a practice issuer and the service, all on loopback."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.app import serve
from mintonce_server.config import (
    ClientSettings,
    HttpSettings,
    IssuerSettings,
    LogSettings,
    RedisSettings,
    Settings,
    TokenEndpointSettings,
)
from mintonce_server.core.secret import Secret

CLIENT: Final = "demo"
AUDIENCE: Final = "https://api.example.com/"


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """`directory` keeps tokens and the count of POSTs between runs. `lifetime`: of tokens, in seconds."""

    directory: Path
    listen: str
    http_listen: str
    token_listen: str
    issuer_port: int
    lifetime: float
    log_level: Literal["debug", "info", "warning", "error"]


async def run(options: SandboxOptions, stopping: asyncio.Event, say: Callable[[str], None]) -> None:
    """Run until `stopping` is set. Raises OSError if a port is in use, and what the parts raise."""
    secret = Secret(secrets.token_urlsafe(24))
    async with AsyncExitStack() as parts:
        valkey = await parts.enter_async_context(EmbeddedValkey(options.directory / "valkey"))
        issuer = parts.enter_context(_practice_issuer(options, secret))
        settings = _settings(options, valkey.url, issuer.token_url, secret)
        await serve(settings, stopping, lambda address: say(_welcome(options, address, issuer.url)))


def _practice_issuer(options: SandboxOptions, secret: Secret) -> PracticeIssuer:
    log = options.directory / "posts.jsonl"
    try:
        return PracticeIssuer(clients={CLIENT: secret}, lifetime=options.lifetime, log=log, port=options.issuer_port)
    except OSError as error:
        message = f"the practice issuer cannot use port {options.issuer_port}, or write {log}"
        raise OSError(f"{message} ({error.strerror})") from error


def _settings(options: SandboxOptions, redis_url: str, token_url: str, secret: Secret) -> Settings:
    # Some OAuth libraries cannot name an audience.
    client = ClientSettings(
        issuer="practice", client_id=CLIENT, client_secret=secret, audiences=("*",), default_audience=AUDIENCE
    )
    return Settings(
        listen=options.listen,
        http=HttpSettings(listen=options.http_listen),
        token_endpoint=TokenEndpointSettings(listen=options.token_listen),
        log=LogSettings(level=options.log_level, format="console"),
        reflection=True,
        redis=RedisSettings(url=Secret(redis_url)),
        issuers={"practice": IssuerSettings(token_url=token_url, request="json")},
        clients={CLIENT: client},
    )


def _welcome(options: SandboxOptions, address: str, issuer_url: str) -> str:
    target = "" if address == "127.0.0.1:50051" else f" --target {address}"
    page, endpoint = (
        _url(options.http_listen, "http", "/"),
        _url(options.token_listen, "token_endpoint", "/oauth/token"),
    )
    return f"""
Mintonce is running on this machine:

  server           {address}
  token endpoint   {endpoint}  (for OAuth libraries)
  status page      {page}
  practice issuer  {issuer_url}  (open it: it counts the POSTs)
  tokens           {options.directory}  (kept between runs; delete the folder to start from scratch)

Next, in another shell:

  .venv/bin/mintonce get {CLIENT} {AUDIENCE} --json{target}     # mints
  .venv/bin/mintonce get {CLIENT} {AUDIENCE} --json{target}     # the same generation: no second POST
  curl -d grant_type=client_credentials -d client_id={CLIENT} -d audience={AUDIENCE} {endpoint}
  .venv/bin/mintonce ls{target}
  .venv/bin/mintonce reject {CLIENT} {AUDIENCE}{target}         # the next get mints again

Your own OAuth domain: docs/start.md, part 3.
Ctrl-C stops everything.
"""


def _url(listen: str, name: str, path: str) -> str:
    """As people open it. Where the port is any, the log has it."""
    if listen.startswith("unix:"):
        return listen
    return f"see {name}= in the log line `serving`" if listen.endswith(":0") else f"http://{listen}{path}"
