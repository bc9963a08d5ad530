"""How a client shows who it is, and how it knows the server. All of it lives in files, which may be replaced any time.

    TokenClient("mintonce.example:443", tls=Tls(ca_file="ca.pem", certificate_file="me.pem", key_file="me.key"))
    TokenClient("mintonce.example:8443", tls=Tls(), bearer=BearerFile("/var/run/secrets/mintonce/token"))

Files are read again at most once a second, when a call is made. A new certificate or CA gets a new connection; calls
and watches under way end on the old one. A file that has become unusable leaves the old credentials in place and is
warned of by the logger `mintonce`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from mintonce._files import FileFault
from mintonce.errors import Refused

__all__ = ["ApiKeyFile", "Bearer", "BearerFile", "Tls"]

Path: TypeAlias = str | os.PathLike[str]

# RFC 6750, section 2.1. JWTs (RFC 7515) and the API keys of `mintonced` are such.
_TEXT: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
_LONGEST: Final = 8192  # bytes: what gRPC servers take as metadata by default
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS to the server.

    Attributes:
        ca_file: PEM, who may vouch for the server. None: the authorities that this host trusts.
        certificate_file: PEM, the client's certificate and what leads to its authority. None: it shows none.
        key_file: PEM, unencrypted, that certificate's key. None: it is in the certificate's file.
        server_name: what the server's certificate is for. None: the target's host name.
    """

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("Tls: key_file needs certificate_file")


@dataclass(frozen=True, slots=True)
class BearerFile:
    """A file that holds a bearer token and nothing else: a JWT, such as a projected token of Kubernetes."""

    path: Path


@dataclass(frozen=True, slots=True)
class ApiKeyFile:
    """A file that holds an API key of mintonced and nothing else."""

    path: Path


Bearer: TypeAlias = BearerFile | ApiKeyFile
"""Either kind goes as `authorization: Bearer …` (RFC 6750), and only over TLS, a Unix socket or loopback."""

CA_FILE: Final = "MINTONCE_CA_FILE"
CERTIFICATE_FILE: Final = "MINTONCE_CERTIFICATE_FILE"
KEY_FILE: Final = "MINTONCE_KEY_FILE"
SERVER_NAME: Final = "MINTONCE_SERVER_NAME"
TLS: Final = "MINTONCE_TLS"
BEARER_FILE: Final = "MINTONCE_BEARER_FILE"
API_KEY_FILE: Final = "MINTONCE_API_KEY_FILE"


def tls_from(environ: Mapping[str, str]) -> Tls | None:
    """TLS as MINTONCE_CA_FILE, _CERTIFICATE_FILE, _KEY_FILE, _SERVER_NAME and _TLS say. None: none of them says so.

    An empty variable counts as none. Raises Refused when they contradict each other.
    """
    ca, certificate, key, name = (
        environ.get(each) or None for each in (CA_FILE, CERTIFICATE_FILE, KEY_FILE, SERVER_NAME)
    )
    wanted = _switch(environ.get(TLS, ""))
    given = next((each for each in (CA_FILE, CERTIFICATE_FILE, KEY_FILE, SERVER_NAME) if environ.get(each)), None)
    if wanted is False and given:
        raise unusable(f"{TLS} says no, but {given} is set", "Unset one of them.")
    if key and not certificate:
        raise unusable(f"{KEY_FILE} is set without {CERTIFICATE_FILE}", "Set both, or neither.")
    return Tls(ca, certificate, key, name) if given or wanted else None


def bearer_from(environ: Mapping[str, str]) -> Bearer | None:
    """The bearer that MINTONCE_BEARER_FILE or MINTONCE_API_KEY_FILE names. Raises Refused when both do."""
    token, key = environ.get(BEARER_FILE), environ.get(API_KEY_FILE)
    if token and key:
        raise unusable(f"{BEARER_FILE} and {API_KEY_FILE} are both set", "A call has one identity: set one of them.")
    if token:
        return BearerFile(token)
    return ApiKeyFile(key) if key else None


def unusable(message: str, remedy: str) -> Refused:
    """The error for credentials that must not be used."""
    return Refused(message, reason="CREDENTIALS", remedy=remedy)


def authorization(content: bytes, path: str) -> str:
    """The value of the authorization metadata. Raises FileFault, which shows nothing of the content."""
    text = content.strip()
    if not text:
        raise FileFault(f"{path} is empty")
    if len(text) > _LONGEST:
        raise FileFault(f"{path} has more than {_LONGEST} bytes")
    if not _TEXT.fullmatch(text):
        raise FileFault(f"{path} holds something else than one bearer token (RFC 6750, section 2.1)")
    return f"Bearer {text.decode('ascii')}"


def _switch(text: str) -> bool | None:
    if not text or text.lower() in _TRUE:
        return bool(text) or None
    if text.lower() in _FALSE:
        return False
    raise unusable(f"{TLS} is neither true nor false", "Set it to true, or unset it.")
