"""What a failed connection means, and what to do about it. `mintonced check` and the running service say the same.

Decides by the type and the code of an exception, never by its text, which may repeat what the peer sent.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

DEEPEST: Final = 10
"""Exceptions of a chain that are looked at."""


class Cause(NamedTuple):
    """A sentence without its full stop, and a remedy."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end, as it is called in a sentence.

    Attributes:
        name: such as "the store at redis:6379".
        setting: where its address stands.
        authorities: the setting that names the authorities that we trust.
        own: the setting that names our certificate.
        clear: how an address without TLS begins, such as "redis://".
        tls: how one with TLS begins.
    """

    name: str
    setting: str
    authorities: str
    own: str
    clear: str
    tls: str


class SpeaksTls(ConnectionError):
    """We spoke in clear to a port that wants TLS."""


class SpeaksClear(ConnectionError):
    """We spoke TLS to a port that is in clear."""


class SpeaksHttp(ConnectionError):
    """An HTTP server, where another kind was expected."""


_NO_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's numbers for a certificate that no trusted authority has signed."""
_OTHER_NAME: Final = frozenset({62, 63, 64})
_EXPIRED, _NOT_YET = 10, 9

_IN_CLEAR: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
)
_REFUSED: Final = {
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it is revoked",
    "TLSV1_ALERT_UNKNOWN_CA": "its authority is not trusted there",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it is not valid there",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it is not accepted there",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "its kind is not accepted there",
    "TLSV1_ALERT_ACCESS_DENIED": "it gives no access there",
    "TLSV1_ALERT_DECRYPT_ERROR": "its signature does not verify",
}
_MISSING: Final = frozenset({"TLSV13_ALERT_CERTIFICATE_REQUIRED"})
_NO_VERSION: Final = frozenset({"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION"})
_NO_AGREEMENT: Final = frozenset({"SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_HANDSHAKE_FAILURE", "NO_SHARED_CIPHER"})
_NO_SUCH_NAME: Final = frozenset({"TLSV1_UNRECOGNIZED_NAME", "TLSV1_ALERT_UNRECOGNIZED_NAME"})
_NO_ROUTE: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what is below it, outermost first. Below a timeout is what it interrupted, and no cause."""
    for _ in range(DEEPEST):
        if error is None:
            return
        yield error
        error = None if isinstance(error, TimeoutError) else error.__cause__ or error.__context__


def cause_of(error: BaseException, peer: Peer) -> Cause | None:
    """None for what is neither TLS nor the network. TLS counts before the network: it says more."""
    found = list(chain(error))
    for each in found:
        if isinstance(each, SpeaksTls | SpeaksClear | SpeaksHttp):
            return _wrong_language(each, peer)
    for each in found:
        if isinstance(each, ssl.SSLCertVerificationError):
            return _their_certificate(getattr(each, "verify_code", 0), peer)
        if isinstance(each, ssl.SSLError):
            return _tls(getattr(each, "reason", None) or "", peer)
    for each in found:
        if isinstance(each, OSError) and (cause := _network(each, peer)):
            return cause
    return None


def _wrong_language(error: SpeaksTls | SpeaksClear | SpeaksHttp, peer: Peer) -> Cause:
    if isinstance(error, SpeaksTls):
        return Cause(
            f"{peer.name} wants TLS, and {peer.setting} says {peer.clear}",
            f"Write {peer.tls} into {peer.setting}, or the port that is in clear.",
        )
    if isinstance(error, SpeaksClear):
        return Cause(
            f"{peer.name} does not speak TLS, and {peer.setting} says {peer.tls}",
            f"Write the port that speaks TLS into {peer.setting}; or {peer.clear} if it is meant to be in clear.",
        )
    return Cause(f"{peer.name} is an HTTP server", f"Check the host and the port in {peer.setting}.")


def _their_certificate(code: int, peer: Peer) -> Cause:
    if code == _EXPIRED:
        return Cause(
            f"the certificate of {peer.name}, or that of its authority, has expired",
            "Renew the certificate. If it is still valid, set the clock of this machine.",
        )
    if code == _NOT_YET:
        return Cause(
            f"the certificate of {peer.name} is not valid yet",
            "Set the clock of this machine, or replace the certificate.",
        )
    if code in _OTHER_NAME:
        return Cause(
            f"the certificate of {peer.name} does not name the host in {peer.setting}",
            f"Write a name that the certificate has into {peer.setting}, or give it a certificate for this host.",
        )
    if code in _NO_AUTHORITY:
        return Cause(
            f"the certificate of {peer.name} is signed by an authority that is not trusted here",
            f"Name the file with the certificate of its authority by {peer.authorities}.",
        )
    return Cause(
        f"the certificate of {peer.name} does not hold (OpenSSL's code {code})",
        f"Replace the certificate, and see that {peer.authorities} names its authority.",
    )


def _tls(reason: str, peer: Peer) -> Cause:
    if reason in _IN_CLEAR:
        return _wrong_language(SpeaksClear(), peer)
    if reason in _MISSING:
        return Cause(f"{peer.name} wants a certificate of ours, and none is set", f"Name one by {peer.own}.")
    if reason in _REFUSED:
        return Cause(
            f"{peer.name} refuses our certificate: {_REFUSED[reason]}",
            f"Replace the certificate that {peer.own} names, or let {peer.name} trust its authority.",
        )
    if reason in _NO_VERSION:
        return Cause(f"{peer.name} speaks no version of TLS that we speak", "Allow TLS 1.2 or 1.3 there.")
    if reason in _NO_AGREEMENT:
        return Cause(
            f"{peer.name} found nothing in common with us in the TLS handshake",
            f"See whether it wants a certificate ({peer.own}), and which ciphers it allows.",
        )
    if reason in _NO_SUCH_NAME:
        return Cause(f"{peer.name} has no certificate for that name", f"Check the host name in {peer.setting}.")
    return Cause(
        f"the TLS connection to {peer.name} broke ({reason or 'no reason given'})",
        f"See what listens there, and what stands in its log. Is the address in {peer.setting} right?",
    )


def _network(error: OSError, peer: Peer) -> Cause | None:
    if isinstance(error, socket.gaierror):
        return Cause(f"the name of {peer.name} is not found", f"Check the host name in {peer.setting}, and DNS.")
    if isinstance(error, ConnectionRefusedError):
        return Cause(
            f"nothing listens at the port of {peer.name}", f"Start it, or mend the host and the port in {peer.setting}."
        )
    if isinstance(error, FileNotFoundError):
        return Cause(f"there is no socket of {peer.name}", f"Start it, or mend the path in {peer.setting}.")
    if isinstance(error, PermissionError):
        return Cause(f"this user may not open {peer.name}", "Give the user rights on the socket and its folder.")
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return Cause(
            f"{peer.name} hung up",
            f"See its log. With TLS: does it trust our certificate, or want one ({peer.own})? Is the port in "
            f"{peer.setting} right?",
        )
    if error.errno in _NO_ROUTE:
        return Cause(f"no network leads to {peer.name}", "Check routes, firewall and proxy.")
    return None
