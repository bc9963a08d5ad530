"""What a check works with: a server of another project, two replicas of ours before it, and a caller for each."""

import asyncio
import secrets
import sys
import tempfile
import tomllib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interop.issuers.proxy import CountingProxy, Exchange, counting_proxy
from interop.issuers.subject import Running, Subject, Workbench

from mintonce import AsyncTokenClient, MintonceError, Token
from mintonce_dev.valkey import EmbeddedValkey
from support.replicas import Replica, replica
from support.tls import Authority

REPLICAS: Final = 2
CALL_WITHIN: Final = 20.0
CHECK_WITHIN: Final = 120.0


@dataclass(frozen=True)
class Lab:
    """A running server and our fleet."""

    subject: Subject
    running: Running
    proxy: CountingProxy
    config: Path
    servers: Sequence[Replica]
    callers: Sequence[AsyncTokenClient]

    @property
    def clients(self) -> frozenset[str]:
        """The names of the clients in its settings."""
        return frozenset(tomllib.loads(self.config.read_text())["clients"])

    async def get(self, client: str, scopes: Sequence[str] = (), *, audience: str | None = None, at: int = 0) -> Token:
        """What a caller of that replica does. `audience`: by default the one that the server knows."""
        asked = self.subject.audience if audience is None else audience
        return await self.callers[at].get(client, asked, scopes, timeout=CALL_WITHIN)

    async def refusal(
        self, client: str, scopes: Sequence[str] = (), *, audience: str | None = None
    ) -> MintonceError | None:
        """What the caller sees instead of a token; None if there is one."""
        try:
            await self.get(client, scopes, audience=audience)
        except MintonceError as error:
            return error
        return None

    def last_post(self) -> Exchange:
        """The token request that was answered last."""
        return self.proxy.posts()[-1]

    def failed_mint(self, client: str) -> Mapping[str, Any]:
        """What the first replica's log says of the last mint for that client, which failed."""
        return [line for line in self.servers[0].events("mint_failed") if line["client"] == client][-1]

    def secret(self, name: str) -> str:
        """The text of a secret file."""
        return (self.config.parent / name).read_text()

    async def check(self, *arguments: str) -> tuple[int, str]:
        """`mintonced check` with these arguments: its exit code, and what it prints."""
        words = ("-m", "mintonce_server", "check", "--config", str(self.config), *arguments)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        async with asyncio.timeout(CHECK_WITHIN):
            output, _ = await process.communicate()
        return process.returncode or 0, output.decode()


@asynccontextmanager
async def set_up(subject: Subject) -> AsyncGenerator[Lab]:
    """Everything runs, in a folder of its own, until the end of the block. Raises NotHere."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interop-")))
        proxy = stack.enter_context(counting_proxy())
        bench = Workbench(folder, proxy.url, Authority(folder), odd=subject.odd + secrets.token_urlsafe(24))
        bench.write_credentials()
        running = await stack.enter_async_context(subject.start(bench))
        proxy.upstream = running.port
        valkey = await stack.enter_async_context(EmbeddedValkey(folder / "valkey", persist=False))
        # What is tried is the other server. A busy machine must not count as a store that does not answer.
        settings = f'redis.url = "{valkey.url}"\nredis.timeout = "5s"\n{subject.settings(proxy.url, running.tls_url)}'
        config = bench.write("mintonce.toml", settings)
        servers = [await stack.enter_async_context(replica(folder, {"CONFIG": str(config)})) for _ in range(REPLICAS)]
        callers = [await stack.enter_async_context(AsyncTokenClient(server.target)) for server in servers]
        yield Lab(subject, running, proxy, config, servers, callers)
