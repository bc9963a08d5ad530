"""Whom an issuer takes a client for, and how it is asked. Pure."""

import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from mintonce_server.issuer.options import JSON, EndpointOptions

_PORTS: Final = {"https": 443, "http": 80}


def client_identity(options: EndpointOptions, client_id: str, extra: Mapping[str, JSON]) -> str:
    """What decides, beside audience and scopes, which token the issuer gives. Tokens of another are never served.

    Not part of it: how the client proves itself, because a renewed or another proof (a secret, then a key) gets the
    same token, and costs no mint. Only `tls_client_auth` is, because issuers bind its tokens to the certificate
    (RFC 8705, section 3), so that another client cannot use them. Names of issuers and how to reach them (`ca_file`,
    `timeout`, `http2`) change nothing that is granted.
    """
    return json.dumps(
        {
            "token_url": canonical_url(options.token_url),
            "client_id": client_id,
            "request": options.request,
            "audience_parameter": "audience" if options.request == "json" else options.audience_parameter,
            "by_certificate": options.auth == "tls_client_auth",
            "extra": dict(extra),
        },
        sort_keys=True,
        separators=(",", ":"),
    )


def canonical_url(url: str) -> str:
    """The same text for spellings that surely mean the same (RFC 3986, section 6.2.2.1 and 6.2.3).

    Two that differ in anything else stay apart: a mint too many is cheap, a token of another tenant is not.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""  # in lower case
    host = f"[{host}]" if ":" in host else host
    port = parts.port if parts.port is not None and parts.port != _PORTS.get(parts.scheme) else None
    authority = host if port is None else f"{host}:{port}"
    # By hand: `geturl` drops an empty query.
    query = "?" + url.partition("?")[2] if "?" in url else ""
    return f"{parts.scheme}://{authority}{parts.path or '/'}{query}"
