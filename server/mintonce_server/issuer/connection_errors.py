"""Our errors for what HTTP libraries raise, with remedies. Repeats no byte of a request or an answer."""

import re
from typing import Final
from urllib.parse import urlsplit

import httpx

from mintonce_server.common.bounded_body import BadBody
from mintonce_server.common.causes import Peer, cause_of
from mintonce_server.core.errors import Foreign, IssuerError, IssuerMalformed, IssuerUnavailable
from mintonce_server.core.secret import Secret
from mintonce_server.issuer.options import EndpointOptions

_STATUS: Final = re.compile(r"[1-5][0-9]{2}(?= |$)")


class NotThisMachine(Exception):
    """The host of a plain http:// URL that must be this machine resolved to another one."""


class SeenByProxy(Exception):
    """A plain http:// request to this machine would go through a proxy, which could read the secret."""


def issuer_peer(host: str, setting: str) -> Peer:
    """The issuer, as error messages name it. `setting`: the one that names the host."""
    return _peer(f"the issuer at {host}", setting)


def _proxy_peer(proxy: Secret) -> Peer:
    return _peer(f"the proxy at {urlsplit(proxy.reveal()).hostname or ''}", "proxy")


def _peer(name: str, setting: str) -> Peer:
    return Peer(
        name=name,
        setting=setting,
        authorities="ca_file",
        own="the client's certificate_file and key_file",
        clear="http://",
        tls="https://",
    )


def translated(error: Exception, options: EndpointOptions, proxy: Secret | None) -> IssuerError:
    """Our error for a library's. The cause's text is left out where it may come from the peer or the request."""
    peer = issuer_peer(options.host, options.address_setting) if proxy is None else _proxy_peer(proxy)
    failure = _of_our_own(error, options) or _of_connection(error, options, peer)
    keeps_cause = isinstance(error, TimeoutError | httpx.ConnectError)
    failure.__cause__ = error if keeps_cause else Foreign.of(error)
    return failure


def _of_our_own(error: Exception, options: EndpointOptions) -> IssuerError | None:
    """For what this package itself raises, and deadlines."""
    if isinstance(error, BadBody):
        return IssuerMalformed(
            f"the answer of {options.host} {error}",
            remedy=f"Check that {options.address_setting} names the issuer, and that no proxy answers in its place.",
        )
    if isinstance(error, SeenByProxy):
        return IssuerUnavailable(
            f"{options.host} is reached by plain http://, and a proxy would see the secret",
            remedy="Use https://, or no proxy for this issuer (NO_PROXY, if the environment names the proxy).",
        )
    if isinstance(error, NotThisMachine):
        return IssuerUnavailable(
            f"{options.host} is not this machine, and plain http:// is only allowed to this machine",
            remedy=f"Check how the name resolves (/etc/hosts), or use 127.0.0.1 in {options.address_setting}.",
        )
    if isinstance(error, TimeoutError):
        return IssuerUnavailable(
            f"{options.host} did not answer within {options.timeout:g} s",
            remedy="Wait: live tokens are served meanwhile. If it lasts, check for a firewall in between.",
        )
    return None


def _of_connection(error: Exception, options: EndpointOptions, peer: Peer) -> IssuerError:
    if isinstance(error, httpx.ProxyError):
        return _refused_by_proxy(error, options, peer)
    if (found := cause_of(error, peer)) is not None:
        return IssuerUnavailable(found.what, remedy=found.remedy)
    if isinstance(error, httpx.ConnectError):
        return IssuerUnavailable(
            f"no connection to {peer.name}", remedy=f"Check the host name in {peer.setting}, DNS, firewall and proxy."
        )
    if peer.setting == "proxy":
        return IssuerUnavailable(
            f"the connection to {options.host} through {peer.name} broke ({type(error).__name__})",
            remedy="Check that `proxy` has the kind and the port of the proxy, and see its log.",
        )
    return IssuerUnavailable(
        f"the connection to {options.host} broke ({type(error).__name__})",
        remedy="Wait: live tokens are served meanwhile. If it lasts, check that "
        f"{options.address_setting} names an HTTP server, with http:// or https:// as that server expects."
        # In TLS 1.3 a server rejects a certificate only after the handshake, and may disconnect without an alert.
        + (" Check that the issuer trusts the client's certificate." if options.auth == "tls_client_auth" else ""),
    )


def _refused_by_proxy(error: Exception, options: EndpointOptions, peer: Peer) -> IssuerError:
    """A proxy's answer to CONNECT begins with its status; the rest of its text is left out."""
    status = found[0] if (found := _STATUS.match(str(error))) else ""
    what = f"{peer.name} does not connect to {options.host}" + (f" (status {status})" if status else "")
    if status == "407":
        remedy = "Put its user and password into the URL in proxy_file: http://USER:PASSWORD@HOST:PORT."
    else:
        remedy = "Check at the proxy that this host may be reached, and that `proxy` has the proxy's kind and port."
    return IssuerUnavailable(what, remedy=remedy)
