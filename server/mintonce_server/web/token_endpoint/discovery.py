"""Metadata of the endpoint (RFC 8414), for libraries that insist on it. Pure."""

import re
from typing import Final

from mintonce_server.web.token_endpoint.request import CLIENT_CREDENTIALS

OAUTH: Final = "/.well-known/oauth-authorization-server"
OPENID: Final = "/.well-known/openid-configuration"
MISSING: Final = {
    "authorization_endpoint": "/oauth/authorize",
    "jwks_uri": "/.well-known/jwks.json",
    "end_session_endpoint": "/oauth/logout",
}
"""What OpenID metadata must have for some libraries. There is nothing at these paths."""
METHODS: Final = ("client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth")

# In RFC 8414 the issuer's path comes behind the well-known one, in OpenID before it.
_PATH: Final = re.compile(
    rf"(?P<before>[A-Za-z0-9._~/-]{{0,100}})(?P<kind>{re.escape(OAUTH)}|{re.escape(OPENID)})"
    r"(?P<behind>(?:/[A-Za-z0-9._~/-]{1,100})?)"
)


def metadata(public_url: str, path: str, token: str, revoke: str | None) -> dict[str, object] | None:
    """What stands at this path; None if it is none of discovery.

    The issuer is this server, as the path names it; it is not the `iss` of the tokens.

    Args:
        public_url: where libraries reach this server.
        token, revoke: paths of the endpoints.
    """
    found = _PATH.fullmatch(path)
    if found is None or (found["before"] and found["behind"]):
        return None
    base = public_url.rstrip("/")
    said: dict[str, object] = {
        "issuer": base + (found["before"] or found["behind"]),
        "token_endpoint": base + token,
        "token_endpoint_auth_methods_supported": METHODS,
        "grant_types_supported": [CLIENT_CREDENTIALS],
        "response_types_supported": [],
    }
    if revoke is not None:
        said["revocation_endpoint"] = base + revoke
        said["revocation_endpoint_auth_methods_supported"] = METHODS
    if found["kind"] == OPENID:
        said |= {name: base + missing for name, missing in MISSING.items()}
    return said
