"""Which account at an issuer a client is, and how it asks: tokens of another identity are never served."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from mintonce_server.issuer.options import JSON, EndpointOptions

_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client adds to how its issuer is asked.

    Attributes:
        extra: further parameters. Their values may be private, so the repr leaves them out.
        headers: further headers; of those from files only the names, because the values are secret and are replaced.
        has_certificate: the client presents a certificate.
    """

    client_id: str
    extra: Mapping[str, JSON] = field(default_factory=dict[str, JSON], repr=False)
    default_scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    has_certificate: bool = False


def client_identity(options: EndpointOptions, asked: Asked) -> str:
    """What decides, with audience and scopes, which token the issuer gives. Tokens of another identity are not served.

    The authentication method is not part of it: a renewed or another credential (a secret, then a key) gets the same
    token and needs no mint. Only a certificate is part of it, because issuers bind such tokens to it (RFC 8705, section
    3), and another client cannot use them. Names of issuers and how to reach them (`ca_file`, `proxy`, `http2`) do not
    change what is granted. Where the metadata names the token endpoint, the issuer's identifier is part of it instead.
    """
    identity: dict[str, object] = {
        "client_id": asked.client_id,
        "request": options.request,
        "audience_parameter": _audience_parameter(options),
        "by_certificate": options.auth == "tls_client_auth" or asked.has_certificate,
        "extra": dict(asked.extra),
    }
    if options.token_url is not None:
        identity["token_url"] = canonical_url(options.token_url)
    else:
        identity["issuer"] = options.issuer
    if options.audience_parameter == "scope":
        identity["audience_scope"] = options.audience_scope
    if options.several_audiences != "no":
        identity["several_audiences"] = options.several_audiences
    if asked.default_scopes:
        identity["default_scopes"] = sorted(asked.default_scopes)
    if asked.headers:
        identity["headers"] = {name.lower(): text for name, text in asked.headers.items()}
    return json.dumps(identity, sort_keys=True, separators=(",", ":"))


def _audience_parameter(options: EndpointOptions) -> str:
    is_renamed = options.request == "json" and options.audience_parameter == "resource"
    return "audience" if is_renamed else options.audience_parameter


def canonical_url(url: str) -> str:
    """The same text for URLs that certainly mean the same (RFC 3986, sections 6.2.2.1 and 6.2.3).

    URLs that differ otherwise stay distinct: an extra mint is cheap, a token of another tenant is not.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""  # in lower case
    host = f"[{host}]" if ":" in host else host
    port = parts.port if parts.port is not None and parts.port != _PORTS.get(parts.scheme) else None
    authority = host if port is None else f"{host}:{port}"
    # `geturl` would drop an empty query.
    query = "?" + url.partition("?")[2] if "?" in url else ""
    return f"{parts.scheme}://{authority}{parts.path or '/'}{query}"
