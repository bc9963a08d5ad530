"""SPIFFE identities from client certificates (X.509-SVID). TLS has verified the chain; this reads the name."""

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID

from mintonce_server.core.caller import Caller, CallerKind
from mintonce_server.core.errors import Unauthenticated

Extension = TypeVar("Extension", bound=x509.ExtensionType)

MAX_ID: Final = 2048

# SPIFFE-ID, sections 2.1 and 2.2: no port, user, query, fragment, percent-encoding, empty or dot segments.
_SPIFFE_ID = re.compile(r"spiffe://(?P<domain>[a-z0-9._-]{1,255})(?P<path>(/[A-Za-z0-9._-]+)+)")


@dataclass(frozen=True, slots=True)
class Named:
    """The content of a certificate. Times are seconds since 1970."""

    name: str
    domain: str
    not_before: float
    not_after: float


def caller_of_certificate(pem: bytes, trust_domains: frozenset[str], now_unix: float) -> Caller:
    """The caller that the certificate names by its only URI SAN. DNS names and the common name are ignored.

    Raises Unauthenticated.
    """
    named = _read(pem)
    if isinstance(named, str):
        raise Unauthenticated(
            f"the client certificate {named}", remedy="Use an X.509-SVID with one SPIFFE ID as URI SAN."
        )
    if named.domain not in trust_domains:
        raise Unauthenticated(
            "the trust domain of the client certificate is not trusted",
            remedy="Add it to tls.trust_domains of the server, or use a certificate of a trusted domain.",
        )
    if not named.not_before <= now_unix < named.not_after:
        raise Unauthenticated(
            "the client certificate is not valid now",
            remedy="Renew it; if it is new, check the clocks of both machines.",
        )
    return Caller(named.name, CallerKind.CERTIFICATE, named.not_after)


@lru_cache(maxsize=1024)
def _read(pem: bytes) -> Named | str:
    """The content of the certificate, or what is wrong with it. Cached, because each call needs it."""
    try:
        with warnings.catch_warnings():
            # About serial numbers and the like, which do not matter: TLS has accepted the certificate.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            certificate = x509.load_pem_x509_certificate(pem)
            extensions = certificate.extensions
    except (ValueError, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType):
        return "cannot be read"
    if _is_authority(extensions):
        return "is one of a certificate authority"
    if not _is_for_clients(extensions):
        return "is not for clients, according to its extended key usage"
    uris = _uris(extensions)
    if len(uris) != 1:
        return f"has {len(uris) or 'no'} URI SAN{'s'[: len(uris) > 1]} where one is expected"
    found = _SPIFFE_ID.fullmatch(uris[0])
    if found is None or len(uris[0]) > MAX_ID or {".", ".."} & set(found["path"].split("/")):
        return "has a URI SAN that is not the SPIFFE ID of a workload"
    return Named(
        uris[0],
        found["domain"],
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def _is_authority(extensions: x509.Extensions) -> bool:
    """X.509-SVID, sections 4.1 and 4.3: a leaf is not an authority, and may sign neither certificates nor CRLs."""
    constraints = _value(extensions, x509.BasicConstraints)
    usage = _value(extensions, x509.KeyUsage)
    return bool((constraints and constraints.ca) or (usage and (usage.key_cert_sign or usage.crl_sign)))


def _is_for_clients(extensions: x509.Extensions) -> bool:
    """RFC 5280, section 4.2.1.12: an extended key usage, if present, must allow client authentication."""
    uses = _value(extensions, x509.ExtendedKeyUsage)
    wanted = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return uses is None or bool(wanted & set(uses))


def _uris(extensions: x509.Extensions) -> list[str]:
    names = _value(extensions, x509.SubjectAlternativeName)
    return list(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else []


def _value(extensions: x509.Extensions, kind: type[Extension]) -> Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
