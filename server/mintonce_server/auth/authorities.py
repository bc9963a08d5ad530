"""Certificate authorities of callers. TLS verifies a chain when a connection starts; this verifies it again later."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from mintonce_server.core.errors import Unauthenticated

MAX_CHAIN: Final = 10
"""Maximum number of intermediate certificates that are considered."""
REMEMBERED: Final = 4096
"""Number of cached results."""


class Authorities:
    """`trusted`: their current certificates (PEM); None: client certificates are not used."""

    def __init__(self, trusted: Callable[[], bytes | None]) -> None:
        self._trusted = trusted
        self._pem = trusted()
        self._now = _read(self._pem)
        self._was_one_removed = False
        self._vouch = lru_cache(REMEMBERED)(self._vouches)

    def check(self, certificate: bytes, chain: bytes) -> None:
        """Raises Unauthenticated if only authorities that were removed since have signed the certificate.

        While none was removed, the verification by TLS is sufficient. `chain`: the caller's intermediate certificates.
        """
        if (pem := self._trusted()) is not self._pem:
            before, self._pem, self._now = self._now, pem, _read(pem)
            self._was_one_removed |= not set(before) <= set(self._now)
            self._vouch.cache_clear()
        if self._was_one_removed and not self._vouch(certificate, chain):
            raise Unauthenticated(
                "the authority of the client certificate is no longer trusted",
                remedy="Get a certificate from an authority in tls.client_ca_file of the server.",
            )

    def _vouches(self, certificate: bytes, chain: bytes) -> bool:
        """Whether signatures lead to a current authority. TLS has verified dates and constraints."""
        between = _read(chain)[:MAX_CHAIN]
        seen: set[x509.Certificate] = set()
        ahead = _read(certificate)[:1]
        while ahead:
            signed = ahead.pop()
            seen.add(signed)
            if any(_has_signed(authority, signed) for authority in self._now):
                return True
            ahead += [other for other in between if other not in seen and _has_signed(other, signed)]
        return False


def _has_signed(issuer: x509.Certificate, signed: x509.Certificate) -> bool:
    try:
        signed.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _read(pem: bytes | None) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem) if pem else []
    except ValueError:
        return []
