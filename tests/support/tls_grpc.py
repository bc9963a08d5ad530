"""The scripted server behind TLS, with certificates of the test's own. It notes who called."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc
import trustme
from google.protobuf.message import Message

from mintonce import Tls
from mintonce.v1 import admin_pb2_grpc, tokens_pb2_grpc
from support.scripted_server import ScriptedServer

SERVER_NAME = "mintonce.test"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes


class Certificates:
    """An authority, and the files of a client that trusts it, in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca_file = directory / "ca.pem"
        self.certificate_file = directory / "client.pem"
        self.key_file = directory / "client.key"
        self.authority = trustme.CA()
        self.ca_file.write_bytes(self.ca)

    @property
    def ca(self) -> bytes:
        return self.authority.cert_pem.bytes()

    def issue(self, name: str, common_name: str | None = None) -> Pair:
        issued = self.authority.issue_cert(name, common_name=common_name)
        return Pair(b"".join(blob.bytes() for blob in issued.cert_chain_pems), issued.private_key_pem.bytes())

    def give_client(self, common_name: str) -> None:
        """Write the client's files, in place of those that are there."""
        pair = self.issue("client.test", common_name)
        self.certificate_file.write_bytes(pair.certificate)
        self.key_file.write_bytes(pair.key)

    def tls(self, *, mutual: bool = False) -> Tls:
        """What a client says to trust this authority and, for `mutual`, to show its certificate."""
        if mutual:
            return Tls(self.ca_file, self.certificate_file, self.key_file)
        return Tls(self.ca_file)


class TlsServer(ScriptedServer):
    """On loopback, with a certificate for 127.0.0.1, or for `name`.

    Attributes:
        callers: of each call, the common name of the certificate that was shown; "" for none.
        authorizations: of each call, the authorization metadata.
    """

    def __init__(self, certificates: Certificates, *, name: str = "127.0.0.1", mutual: bool = False) -> None:
        self.callers: list[str] = []
        self.authorizations: list[list[str]] = []
        self._mutual = mutual
        self.use(certificates, name)
        super().__init__()

    def use(self, certificates: Certificates, name: str = "127.0.0.1") -> None:
        """From the next start on."""
        pair = certificates.issue(name)
        roots = certificates.ca if self._mutual else None
        self._credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)], roots, self._mutual)

    def start(self) -> None:
        self._epoch += 1
        server = grpc.server(ThreadPoolExecutor(max_workers=16), options=[("grpc.so_reuseport", 0)])
        tokens_pb2_grpc.add_TokenServiceServicer_to_server(self, server)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(self, server)
        port = server.add_secure_port(self._address, self._credentials)
        if self._address.endswith(":0"):
            self._address = f"127.0.0.1:{port}"
        server.start()
        self._server = server

    def _called(self, method: str, request: Message, context: grpc.ServicerContext) -> None:
        # The stubs take each value for bytes, where gRPC gives a list of them.
        names = cast("Mapping[str, list[bytes]]", context.auth_context()).get("x509_common_name", [b""])
        self.callers.append(names[0].decode())
        self.authorizations.append(
            [str(value) for key, value in context.invocation_metadata() if key == "authorization"]
        )
        super()._called(method, request, context)
