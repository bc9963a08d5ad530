"""The types of an issuer's settings."""

import os
import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from mintonce_server.common.proxies import ProxyVariables
from mintonce_server.config.types import Kind, comma_separated, endpoint_url, invalid, split_or_none
from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.key import TokenKey

ENVIRONMENT: Final = "environment"
"""As `proxy`: what the proxy variables of the environment say."""

PLACE: Final = "{audience}"
"""In `audience_scope`: where the audience stands."""

_PROXIES: Final = ("http", "https", "socks5", "socks5h")
_PROXY_REMEDY: Final = f"Write {', '.join(f'{kind}://HOST:PORT' for kind in _PROXIES)}, or {ENVIRONMENT}."
_ISSUER_REMEDY: Final = "Write the issuer's identifier, such as https://HOST/realms/NAME."

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")  # RFC 9110, section 5.1
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,4094}[\x21-\x7e])?")
_OWN_HEADERS: Final = frozenset(
    {
        "accept", "accept-encoding", "authorization", "connection", "content-length", "content-type",
        "host", "transfer-encoding", "user-agent",
    }
)  # fmt: skip
"""Headers that only Mintonce sets. `Authorization` is the client's own proof."""


def proxy_variables() -> ProxyVariables:
    """What the environment of this process says about proxies."""
    return ProxyVariables(os.environ)


def proxy_url(value: str) -> str:
    """Validates the URL of a proxy, which may hold a user and a password."""
    if value == ENVIRONMENT:
        return value
    parts = split_or_none(value)
    if parts is None or parts.scheme not in _PROXIES or not parts.hostname or parts.path not in ("", "/"):
        raise invalid("is not the URL of a proxy", _PROXY_REMEDY)
    if parts.query or parts.fragment:
        raise invalid("is not the URL of a proxy", _PROXY_REMEDY)
    if parts.port is None and parts.scheme.startswith("socks"):
        raise invalid("lacks the port of the proxy", _PROXY_REMEDY)
    return value


def _proxy_without_password(value: str) -> str:
    if "@" in proxy_url(value):
        raise invalid("contains a user or a password", "Write the whole URL into a file, and name it as proxy_file.")
    return value


def _issuer_url(value: str) -> str:
    if "?" in endpoint_url(value, _ISSUER_REMEDY):
        raise invalid("contains a query (?…)", "Remove it: an identifier has none (RFC 8414, section 2).")
    if "/.well-known/" in value:
        raise invalid("is the address of metadata", f"{_ISSUER_REMEDY} The metadata is found from it.")
    return value


def _header_names(value: dict[str, object]) -> dict[str, object]:
    for name in value:
        if not _HEADER.fullmatch(name):
            raise invalid("contains a malformed header name", "Write names such as X-Api-Key.")
        if name.lower() in _OWN_HEADERS:
            raise invalid("contains a header that other settings define", "Remove it; `auth` sets the credentials.")
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for text in value.values():
        if not is_header_value(text):
            raise invalid("contains a malformed header value", "Write visible ASCII characters, and no line break.")
    return value


def is_header_value(text: str) -> bool:
    """Whether the text can be the value of a header."""
    return bool(_VALUE.fullmatch(text))


def _audience_scope(value: str) -> str:
    try:
        TokenKey.of("any", "", [value.replace(PLACE, "a")])
    except InvalidRequest:
        is_scope = False
    else:
        is_scope = PLACE in value
    if not is_scope:
        raise invalid(f"is not a scope with {PLACE} in it", f'Write one such as "{PLACE}/.default".')
    return value


def _scopes(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return TokenKey.of("any", "", value).scopes
    except InvalidRequest as error:
        raise invalid("contains a malformed scope", f"Write {error.remedy.partition(': ')[2]}") from error


IssuerUrl = Annotated[str, AfterValidator(_issuer_url), Kind("URL")]
ProxyText = Annotated[str, AfterValidator(_proxy_without_password), Kind("URL or `environment`")]
Headers = Annotated[dict[str, str], AfterValidator(_header_names), AfterValidator(_headers), Kind("table")]
HeaderFiles = Annotated[dict[str, Path], AfterValidator(_header_names), Kind("table of files")]
AudienceScope = Annotated[str, AfterValidator(_audience_scope), Kind("string")]
Scopes = Annotated[tuple[str, ...], BeforeValidator(comma_separated), AfterValidator(_scopes), Kind("list of strings")]
