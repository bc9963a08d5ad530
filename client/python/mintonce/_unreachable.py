"""Why there is no connection: gRPC says UNAVAILABLE for every cause, and a text that few people can read."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mintonce._text import visible

MAX_DETAILS: Final = 300

_FAILED: Final = "failed to connect to all addresses"
_CLOSED: Final = ("Socket closed", "reset by peer", "Broken pipe", "GOAWAY", "handshake shutdown", "FD Shutdown")
_NO_NAME: Final = ("address lookup failed", "errors resolving", "DNS resolution failed")
_WHERE: Final = "Set the target with MINTONCE_TARGET, --target or target=…."
_USE_TLS: Final = "Use TLS: set MINTONCE_CA_FILE, --ca-file or tls=Tls(…), or MINTONCE_TLS=true."
_PROXIES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_NO_PROXIES: Final = ("no_grpc_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Link:
    """How a client connects.

    Attributes:
        tls: whether it speaks TLS. None: it was given a channel, so nothing is known.
        server_name: the name that the server's certificate must have, where it is not the target's.
        shows_certificate: whether the client has a certificate of its own.
        may_use_proxy: whether gRPC honours proxy variables for it.
    """

    target: str
    tls: bool | None
    server_name: str = ""
    shows_certificate: bool = False
    may_use_proxy: bool = True


def explain(details: str, link: Link, environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """What is wrong, in a few words, and the remedy for it. `details`: what gRPC says."""
    proxy = _proxy(link, environ)
    if "HTTP proxy" in details:
        return (
            "the HTTP proxy refused the connection",
            (
                f"gRPC uses the proxy of the variable {proxy or 'https_proxy'}: name the server's host in no_proxy, "
                "or unset the variable."
            ),
        )
    if any(text in details for text in _NO_NAME):
        return "its name cannot be resolved", f"Is the host name right? {_WHERE}"
    if "Connection refused" in details or "No such file" in details:
        return "nothing listens there", _not_running(link, proxy)
    if "imed out" in details or "imeout" in details or "unreachable" in details or "No route" in details:
        return "the network does not reach it", f"Is a firewall between the two? {_not_running(link, proxy)}"
    if found := _of_certificate(details, link) or _of_transport(details, link):
        return found
    if _FAILED not in details:
        return (
            f"the connection was lost ({visible(details or 'no details', MAX_DETAILS)})",
            (
                "Call again: the server may be restarting. If it goes on: "
                f"is mintonced running, and at {link.target}? {_hint(link)}"
            ),
        )
    return (
        visible(details.partition("last error: ")[2] or details, MAX_DETAILS),
        f"Is mintonced running, and at {link.target}? {_hint(link)} {_WHERE}",
    )


def _of_certificate(details: str, link: Link) -> tuple[str, str] | None:
    """The server showed a certificate that does not do."""
    if "Hostname Verification" in details:
        expected = link.server_name or "the target's host name"
        return (
            "its certificate is for another name",
            (
                f"The client expects {expected}. Use a target whose name the certificate has, or say what it is for: "
                "MINTONCE_SERVER_NAME, --server-name or Tls(server_name=…)."
            ),
        )
    if "CERTIFICATE_VERIFY_FAILED" not in details:
        return None
    if "expired" in details:
        return "its certificate, or that of its CA, has expired", "Renew it. Or is the clock of this host wrong?"
    if "not yet valid" in details:
        return "its certificate is not valid yet", "Is the clock of this host right?"
    return (
        "its certificate is not from a CA that this client trusts",
        (
            "The server's certificate must be from the CA in MINTONCE_CA_FILE, --ca-file or Tls(ca_file=…); else, "
            "from a CA that this host trusts."
        ),
    )


def _of_transport(details: str, link: Link) -> tuple[str, str] | None:
    """The two ends speak something else."""
    if "WRONG_VERSION_NUMBER" in details:
        return (
            "it does not speak TLS",
            (
                "The connection is TLS. Is this the right port? For a server in clear, unset MINTONCE_CA_FILE and "
                "the like, or set tls=False."
            ),
        )
    if "parsing HTTP/2" in details:
        return "it does not speak gRPC", f"Is this the port of mintonced, and not of a web server? {_WHERE}"
    if _FAILED not in details or not any(text in details for text in (*_CLOSED, "ALERT")):
        return None
    if link.tls is False:
        return "it closes the connection", f"The connection is in clear, and the server may want TLS. {_USE_TLS}"
    return "it closes the connection", _hint(link)


def _not_running(link: Link, proxy: str) -> str:
    where = f" The connection goes through the proxy of the variable {proxy}: is that meant?" if proxy else ""
    # gRPC tells the fault of the last address only: the server may be at the other one, and have another fault.
    local = link.target.rpartition("/")[2].rpartition(":")[0] == "localhost"
    name = " localhost may be 127.0.0.1 and [::1]: name the one where it listens." if local else ""
    return f"Is mintonced running, and at {link.target}? {_WHERE}{name}{where}"


def _hint(link: Link) -> str:
    if link.tls is None:
        return "Is it meant to be TLS, or not?"
    if not link.tls:
        return f"The connection is in clear. Does the server speak TLS? {_USE_TLS}"
    if not link.shows_certificate:
        return "The client shows no certificate: if the server wants one, set MINTONCE_CERTIFICATE_FILE."
    return "Is this client's certificate in date, and from a CA that the server trusts?"


def _proxy(link: Link, environ: Mapping[str, str]) -> str:
    """The variable that leads the connection to a proxy; "" for none. Its value may hold a password."""
    if not link.may_use_proxy or link.target.startswith("unix:"):
        return ""
    host = link.target.rpartition("/")[2].rpartition(":")[0]
    exempt = next((environ[name] for name in _NO_PROXIES if environ.get(name)), "")
    if any(host.endswith(part.strip()) for part in exempt.split(",") if part.strip()):
        return ""
    return next((name for name in _PROXIES if environ.get(name)), "")
