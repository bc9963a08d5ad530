"""Who may see what over HTTP. The same identities and policy as for gRPC."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from mintonce_server.core.caller import ANONYMOUS, Caller
from mintonce_server.core.errors import PermissionDenied, Unauthenticated
from mintonce_server.core.policy import Policy
from mintonce_server.web.peers import certificates_of

Identify = Callable[[bytes | None, Sequence[str], bytes], Caller]
"""From the PEM of the verified client certificate, the values of `authorization`, and the PEM of intermediate
certificates. Raises Unauthenticated."""

_BASIC: Final = "basic "


@dataclass(frozen=True, slots=True)
class Guard:
    """Attributes:
    identify: says who calls. None: callers need no identity.
    policy: returns the current policy.
    is_private: whether what is sent cannot be read on the way: TLS, loopback or a Unix socket.
    """

    identify: Identify | None
    policy: Callable[[], Policy]
    is_private: bool = True

    def admin(self, request: web.BaseRequest) -> Caller:
        """The caller, who may administer something. Raises Unauthenticated or PermissionDenied."""
        caller = self.caller(request)
        self.must_administer(caller)
        return caller

    def caller(self, request: web.BaseRequest) -> Caller:
        """Who asks. Raises Unauthenticated, or PermissionDenied where others could read along."""
        if not self.is_private:
            raise PermissionDenied("this address has no TLS", remedy="Set [tls]; or use the page on loopback.")
        if self.identify is None:
            return ANONYMOUS
        certificate, chain = certificates_of(request)
        return self.identify(certificate, _authorization(request), chain)

    def must_administer(self, caller: Caller) -> None:
        """Raises PermissionDenied for a caller that may administer nothing."""
        if not self.policy().may_administer(caller.name):
            raise PermissionDenied(
                "the policy does not allow this caller to administer anything",
                remedy="Ask those who run Mintonce for a rule with the act admin.",
            )


def _authorization(request: web.BaseRequest) -> list[str]:
    """Browsers ask their users for a name and a password: then the password is the API key, whatever the name."""
    return [_bearer(text) for text in request.headers.getall("Authorization", [])]


def _bearer(text: str) -> str:
    if text[: len(_BASIC)].lower() != _BASIC:
        return text
    try:
        _, _, password = base64.b64decode(text[len(_BASIC) :].strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthenticated(
            "the user and password of HTTP Basic cannot be read",
            remedy="Send any user name, and an API key as the password.",
        ) from None
    return f"Bearer {password}"
