"""Causes of failed connections, with remedies. `mintonced check` and the running service report the same.

Uses the type and the code of an exception, never its text, which may repeat what the peer sent.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

DEEPEST: Final = 10
"""Maximum number of exceptions of a chain that are considered."""


class Cause(NamedTuple):
    """A sentence without full stop, and a remedy."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection, and the words for it in a sentence.

    Attributes:
        name: such as "the store at redis:6379".
        setting: the setting of its address.
        authorities: the setting of the authorities that are trusted.
        own: the setting of our certificate.
        clear: the start of an address without TLS, such as "redis://".
        tls: the start of an address with TLS.
    """

    name: str
    setting: str
    authorities: str
    own: str
    clear: str
    tls: str


class SpeaksTls(ConnectionError):
    """A connection without TLS to a port that expects TLS."""


class SpeaksClear(ConnectionError):
    """A TLS connection to a port without TLS."""


class SpeaksHttp(ConnectionError):
    """An HTTP server instead of the expected kind."""


_NO_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's codes for a certificate that no trusted authority has signed."""
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
    """The exception and its causes, outermost first. What a timeout interrupted is not a cause."""
    for _ in range(DEEPEST):
        if error is None:
            return
        yield error
        error = None if isinstance(error, TimeoutError) else error.__cause__ or error.__context__


def cause_of(error: BaseException, peer: Peer) -> Cause | None:
    """None if it concerns neither TLS nor the network. TLS has precedence, because it is more specific."""
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
            f"Use {peer.tls} in {peer.setting}, or the port without TLS.",
        )
    if isinstance(error, SpeaksClear):
        return Cause(
            f"{peer.name} does not speak TLS, and {peer.setting} says {peer.tls}",
            f"Use the TLS port in {peer.setting}; or {peer.clear} if no TLS is intended.",
        )
    return Cause(f"{peer.name} is an HTTP server", f"Check the host and the port in {peer.setting}.")


def _their_certificate(code: int, peer: Peer) -> Cause:
    if code == _EXPIRED:
        return Cause(
            f"the certificate of {peer.name}, or that of its authority, has expired",
            "Renew the certificate. If it is still valid, correct the clock of this machine.",
        )
    if code == _NOT_YET:
        return Cause(
            f"the certificate of {peer.name} is not valid yet",
            "Correct the clock of this machine, or replace the certificate.",
        )
    if code in _OTHER_NAME:
        return Cause(
            f"the certificate of {peer.name} does not name the host in {peer.setting}",
            f"Use a name of the certificate in {peer.setting}, or issue a certificate for this host.",
        )
    if code in _NO_AUTHORITY:
        return Cause(
            f"the certificate of {peer.name} is signed by an authority that is not trusted here",
            f"Set the certificate of its authority with {peer.authorities}.",
        )
    return Cause(
        f"the certificate of {peer.name} is not valid (OpenSSL's code {code})",
        f"Replace the certificate, and check that {peer.authorities} contains its authority.",
    )


def _tls(reason: str, peer: Peer) -> Cause:
    if reason in _IN_CLEAR:
        return _wrong_language(SpeaksClear(), peer)
    if reason in _MISSING:
        return Cause(f"{peer.name} wants a certificate of ours, and none is set", f"Set one with {peer.own}.")
    if reason in _REFUSED:
        return Cause(
            f"{peer.name} refuses our certificate: {_REFUSED[reason]}",
            f"Replace the certificate in {peer.own}, or let {peer.name} trust its authority.",
        )
    if reason in _NO_VERSION:
        return Cause(f"{peer.name} supports no common version of TLS", "Enable TLS 1.2 or 1.3 there.")
    if reason in _NO_AGREEMENT:
        return Cause(
            f"the TLS handshake with {peer.name} failed: no common parameters",
            f"Check whether it requires a client certificate ({peer.own}), and which ciphers it allows.",
        )
    if reason in _NO_SUCH_NAME:
        return Cause(f"{peer.name} has no certificate for that name", f"Check the host name in {peer.setting}.")
    return Cause(
        f"the TLS connection to {peer.name} broke ({reason or 'no reason given'})",
        f"Check its log, and the address in {peer.setting}.",
    )


def _network(error: OSError, peer: Peer) -> Cause | None:
    if isinstance(error, socket.gaierror):
        return Cause(f"the name of {peer.name} is not found", f"Check the host name in {peer.setting}, and DNS.")
    if isinstance(error, ConnectionRefusedError):
        return Cause(
            f"nothing listens at the port of {peer.name}",
            f"Start it, or correct the host and the port in {peer.setting}.",
        )
    if isinstance(error, FileNotFoundError):
        return Cause(f"there is no socket of {peer.name}", f"Start it, or correct the path in {peer.setting}.")
    if isinstance(error, PermissionError):
        return Cause(f"this user may not open {peer.name}", "Grant the user access to the socket and its directory.")
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return Cause(
            f"{peer.name} hung up",
            f"Check its log and the port in {peer.setting}. With TLS, check whether it requires or rejects our "
            f"certificate ({peer.own}).",
        )
    if error.errno in _NO_ROUTE:
        return Cause(f"no network leads to {peer.name}", "Check routes, firewall and proxy.")
    return None
