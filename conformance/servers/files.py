"""Certificates and bearers in files, as a client gets them, and which a case replaces."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import grpc
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

PKCS8 = PrivateFormat.PKCS8
TRADITIONAL = PrivateFormat.TraditionalOpenSSL


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain, and its key; PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A CA of the case's own, with the files of one client in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = folder / "ca.pem"
        self.certificate_file = folder / "client.pem"
        self.key_file = folder / "client.key"
        self.both_file = folder / "both.pem"
        self._ca = trustme.CA()
        self.ca_file.write_bytes(self.ca)

    @property
    def ca(self) -> bytes:
        return self._ca.cert_pem.bytes()

    def issue(
        self, name: str, common_name: str | None = None, form: PrivateFormat = PKCS8, *, rsa: bool = False
    ) -> Pair:
        kind = trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA
        issued = self._ca.issue_cert(name, common_name=common_name, key_type=kind)
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        return Pair(
            b"".join(blob.bytes() for blob in issued.cert_chain_pems),
            key.private_bytes(Encoding.PEM, form, NoEncryption()),
        )

    def give_client(self, common_name: str, form: PrivateFormat = PKCS8, *, rsa: bool = False) -> None:
        """Write the client's files, in place of those that are there."""
        pair = self.issue("client.test", common_name, form, rsa=rsa)
        replace(self.key_file, pair.key)
        replace(self.certificate_file, pair.certificate)
        replace(self.both_file, pair.certificate + pair.key)

    def server(self, name: str = "127.0.0.1", *, mutual: bool = False) -> grpc.ServerCredentials:
        """What a server of that name listens with; with `mutual`, it wants a certificate of this authority."""
        pair = self.issue(name)
        return grpc.ssl_server_credentials([(pair.key, pair.certificate)], self.ca if mutual else None, mutual)

    def tls(self, *, mutual: bool = False, **more: str) -> dict[str, object]:
        """What a testee is told."""
        own = {"certificate_file": self.certificate_file, "key_file": self.key_file} if mutual else {}
        return {"ca_file": self.ca_file, **own, **more}


def replace(path: Path, content: bytes) -> None:
    """At once, as those do who know how."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    os.replace(fresh, path)


def bearer() -> str:
    """A text as a bearer may be, to be found again where it must not be."""
    return f"canary.{secrets.token_urlsafe(24)}"
