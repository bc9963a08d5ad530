"""Who signs callers' certificates. TLS looks when a connection begins; here one that goes on is looked at again."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from mintonce_server.core.errors import Unauthenticated

MAX_CHAIN: Final = 10
"""Certificates between a caller's and an authority that are looked at."""
REMEMBERED: Final = 4096
"""Certificates that were found to be signed by an authority, or not."""


class Authorities:
    """`trusted`: their certificates (PEM) as they are now; None: callers show none."""

    def __init__(self, trusted: Callable[[], bytes | None]) -> None:
        self._trusted = trusted
        self._pem = trusted()
        self._now = _read(self._pem)
        self._was_one_removed = False
        self._vouch = lru_cache(REMEMBERED)(self._vouches)

    def check(self, certificate: bytes, chain: bytes) -> None:
        """Raises Unauthenticated for a certificate that only authorities have signed that were removed meanwhile.

        While none was, TLS has seen to it. `chain`: what the caller showed between its certificate and an authority.
        """
        if (pem := self._trusted()) is not self._pem:
            before, self._pem, self._now = self._now, pem, _read(pem)
            self._was_one_removed |= not set(before) <= set(self._now)
            self._vouch.cache_clear()
        if self._was_one_removed and not self._vouch(certificate, chain):
            raise Unauthenticated(
                "the client certificate is of an authority that is no longer trusted",
                remedy="Get a certificate of an authority that the server trusts now (tls.client_ca_file).",
            )

    def _vouches(self, certificate: bytes, chain: bytes) -> bool:
        """Whether signatures lead to an authority of now. Dates and constraints were looked at by TLS."""
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
