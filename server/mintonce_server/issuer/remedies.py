"""What to do about an issuer's refusal. The remedy fits the status, the code, the client's method and the provider."""

import re
from collections.abc import Mapping
from typing import Final

SEE_LOG: Final = "The server's log has the issuer's own words (issuer_said)."

TRY_DIALECT: Final = 'If the issuer expects the other kind of body, set its request = "form" or "json".'
TRY_URL: Final = "Check the issuer's token_url: its path is often /oauth/token, /oauth2/token or /connect/token."

_CREDENTIALS: Final = (
    "Check the client_id and the secret in client_secret_files: its value, not its name or id. If both are right, "
    "check that auth is the method that the client is registered with, and basic_encoding."
)
_KEY: Final = (
    "Check the client_id; that the issuer has the public key of signing_key_file, under the same signing_key_id if one "
    "is set; that auth and signing_algorithm are those that the client is registered with; and that assertion_audience "
    "is what the issuer expects: its token endpoint or its identifier."
)
_CERTIFICATE: Final = (
    "Check the client_id, and that the issuer knows the certificate in certificate_file by its subject or its content."
)
_OF_AUTH: Final[Mapping[str, str]] = {
    "private_key_jwt": _KEY,
    "client_secret_jwt": _KEY,
    "tls_client_auth": _CERTIFICATE,
}

_EXPIRED: Final = (
    "The client's secret has expired at the issuer: make a new one there, and write it into the file in "
    "client_secret_files. It is used without a restart."
)
_ASSERTION_AUDIENCE: Final = (
    "The issuer expects another audience in the client's assertion. Set assertion_audience to its token endpoint, or "
    'to its identifier ("issuer", if `issuer` is set).'
)
_ASSERTION_TIME: Final = "Compare the clock of this machine with the issuer's: an assertion is valid for one minute."

_SAYS_EXPIRED: Final = re.compile(r"\bexpired\b", re.IGNORECASE)
_SAYS_AUDIENCE: Final = re.compile(r"\baud(ience)?\b", re.IGNORECASE)
_SAYS_TIME: Final = re.compile(
    r"\b(exp|iat|nbf|expired|lifetime|not active|in the future|not yet valid|too old)\b", re.IGNORECASE
)

_SCOPE: Final = (
    "Request only scopes that the issuer knows and allows for this client; see default_scopes if callers request none."
)

_BY_CODE: Final[Mapping[str, str]] = {
    "invalid_grant": "Check at the issuer that this client may use the client_credentials grant, and is enabled.",
    "unauthorized_client": "Allow the client_credentials grant for this client at the issuer.",
    "unsupported_grant_type": "Enable the client_credentials grant at the issuer. " + TRY_DIALECT,
    "invalid_scope": _SCOPE,
    "invalid_target": "Register the audience at the issuer for this client; or set audience_parameter, if the issuer "
    "reads the audience from another one.",
    "scope_invalid": _SCOPE,  # glewlwyd's spelling
    "access_denied": "Authorize the client for this audience at the issuer, and check the client_id.",
    "invalid_request": "Check the audience, the secret's characters and the extra parameters of the client. "
    + TRY_DIALECT,
}
_BY_STATUS: Final[Mapping[int, str]] = {
    400: "Check the client's audience, scopes and extra parameters. " + TRY_DIALECT,
    403: "Check the client_id and its secret or key; and at the issuer that the client is authorized for this "
    "audience, and need not request a scope (default_scopes). A firewall may also be the cause.",
    404: TRY_URL,
    405: TRY_URL,
    406: TRY_URL,
    407: "The proxy requires a user and a password. Put them into the URL in the issuer's proxy_file.",
    410: TRY_URL,
    413: "The request is too large for the issuer: shorten the client's extra parameters.",
    415: TRY_DIALECT,
    421: TRY_URL,
    422: TRY_DIALECT,
}

# Microsoft Entra: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_ENTRA: Final[Mapping[str, str]] = {
    "AADSTS7000215": "The secret is wrong. Use its value, which the portal shows only once, not its id.",
    "AADSTS7000222": _EXPIRED,
    "AADSTS700016": "Check the client_id, and that token_url or `issuer` names the tenant in which it is registered.",
    "AADSTS90002": "The tenant in token_url or `issuer` does not exist: check its id.",
    "AADSTS700027": "Upload the certificate of signing_certificate_file to the application, and check that "
    "signing_key_file is its key.",
    "AADSTS500011": "The audience is not an application in this tenant: use its Application ID URI, and let an "
    "administrator consent to it.",
    "AADSTS1002012": "The scope must end with /.default: leave the callers' scopes empty; audience_scope adds it.",
    "AADSTS70011": "The scope must end with /.default: leave the callers' scopes empty; audience_scope adds it.",
    "AADSTS501051": "Assign the application to a role of the API, or do not require an assignment there.",
}
_OF_PROVIDER: Final[Mapping[str, Mapping[str, str]]] = {
    "entra": _ENTRA,
    "auth0": {
        "Service not found": "The audience is not an API of this tenant: create the API, with this text as its "
        "identifier.",
        "is not authorized to access": "Authorize the application for this API at Auth0: APIs, Machine to Machine "
        "Applications.",
    },
    "okta": {
        "Policy evaluation failed": "Let an access policy of the authorization server allow this client and the client "
        "credentials grant.",
        "not configured for the authorization server": "Add the scope to this authorization server, or request another "
        "one.",
    },
    "keycloak": {
        "retrieve service account": "Turn on `Service accounts roles` for the client, and `Client authentication`.",
        "duplicated parameter": "Keycloak takes each parameter once: remove lists from the client's extra parameters.",
    },
    "cognito": {
        "invalid_scope": "Add the scope to a resource server of the user pool, and allow it for the app client.",
    },
}
"""For what an issuer says in its own words."""

_OF_CLIENT: Final = frozenset({"access_denied", "unauthorized_client"})
"""Codes that mean a wrong secret if the status is 401: Auth0 uses the first, Keycloak the second."""


def remedy_of_outage(auth: str) -> str:
    """For a 5xx."""
    clock = " It may also be an assertion that the issuer finds expired: compare the clocks." if "jwt" in auth else ""
    return f"Wait: live tokens are served meanwhile. See the issuer's status page if it lasts.{clock}"


def remedy(status: int, code: str, auth: str, provider: str, said: str) -> str:
    """A sentence for an operator. `said`: what the issuer says in its own words, or ""."""
    found = _remedy(status, code, auth, provider, said)
    return f"{found} {SEE_LOG}" if said else found


def _remedy(status: int, code: str, auth: str, provider: str, said: str) -> str:
    for words, text in _OF_PROVIDER.get(provider, {}).items():
        if words in said or words == code:
            return text
    if status == 415:
        return TRY_DIALECT  # it is always about the body, whatever the code says
    if code == "invalid_client" or (status == 401 and code in _OF_CLIENT):
        return _of_client(auth, said)
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status == 401:
        return f"{_of_client(auth, said)} {TRY_DIALECT}"
    return _BY_STATUS.get(status, "Look up the status and the error code in the issuer's documentation. " + TRY_URL)


def _of_client(auth: str, said: str) -> str:
    """The client itself was refused."""
    if auth in ("private_key_jwt", "client_secret_jwt"):
        if _SAYS_AUDIENCE.search(said):
            return _ASSERTION_AUDIENCE
        if _SAYS_TIME.search(said):
            return _ASSERTION_TIME
    elif auth in ("client_secret_post", "client_secret_basic") and _SAYS_EXPIRED.search(said):
        return _EXPIRED
    return _OF_AUTH.get(auth, _CREDENTIALS)
