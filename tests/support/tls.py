"""TLS in front of servers that do not speak it, with a certificate authority of the test's own."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import trustme


class Authority:
    """Issues certificates for 127.0.0.1, or for another name. `ca` is the file that trusts them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = trustme.CA()
        self.ca = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))

    def server(self, host: str = "127.0.0.1", *, wants_certificate: bool = False) -> ssl.SSLContext:
        """What a server of that name listens with."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert(host).configure_cert(context)
        if wants_certificate:
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self) -> tuple[Path, Path]:
        """Files with a client's certificate and its key."""
        return self._files("client", "mintonce.example")

    def server_files(self, host: str = "127.0.0.1") -> tuple[Path, Path]:
        """Files with the certificate and the key of a server of that name, for a program that reads them itself."""
        return self._files("server", host)

    def _files(self, name: str, host: str) -> tuple[Path, Path]:
        certificate, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        issued = self._authority.issue_cert(host)
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        return certificate, key


def knows_tls(binary: Path) -> bool:
    """Whether this Redis or Valkey was built with TLS. Nothing stays running: it has no certificate.

    Others do not know the settings, or, since Redis 7.2, know no such connections.
    """
    nowhere = ("--port", "0", "--bind", "127.0.0.1", "--tls-port", "1", "--tls-auth-clients", "yes")
    done = subprocess.run([binary, *nowhere], capture_output=True, text=True, timeout=10, check=False)
    said = done.stdout + done.stderr
    return "FATAL CONFIG FILE ERROR" not in said and "Failed finding TLS support" not in said


def speaking_tls(port: int, context: ssl.SSLContext, listen: int = 0) -> AbstractAsyncContextManager[int]:
    """Listens with TLS, on the port that it gives, and hands on to a plain one."""
    return handing_on(lambda: port, context, listen)


@asynccontextmanager
async def handing_on(
    target: Callable[[], int],
    context: ssl.SSLContext | None = None,
    listen: int = 0,
    changing: Callable[[], ssl.SSLContext] | None = None,
) -> AsyncGenerator[int]:
    """Hands each new connection on to the port that is the target then.

    `changing`: instead of `context`, what each new connection is met with then.
    """
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(OSError, asyncio.CancelledError):  # one of the two hangs up, or the test is over
            if changing is not None:
                await writer.start_tls(changing())
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", target())
            try:
                await asyncio.gather(_pass(reader, upstream_writer), _pass(upstream_reader, writer))
            finally:
                writer.transport.abort()
                upstream_writer.transport.abort()
        serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", listen, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()
