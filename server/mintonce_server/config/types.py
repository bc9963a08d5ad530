"""The kinds of values that settings have: how each is written, and what it becomes."""

import ipaddress
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, JsonValue, PlainValidator
from pydantic_core import PydanticCustomError

from mintonce_server.config import redis_url
from mintonce_server.config.files import secret_fault
from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret

FAULT: Final = "mintonce"
"""The type of the validation errors that are made here; their context has a `remedy`."""

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path, not a token

OWN_PARAMETERS: Final = frozenset(
    {"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type"}
)
"""What only Mintonce itself may say to an issuer."""

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""Of callers' JWTs: none that a public key could be mistaken for a secret by."""

_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_MODE = re.compile(r"0?[0-7]{3}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION_REMEDY = 'Write seconds as a number, or a text such as "250ms", "30s", "5m", "24h".'

_LISTEN_REMEDY = "Write HOST:PORT, such as 127.0.0.1:50051 or [::1]:50051, or unix:/PATH."
_TOKEN_URL_REMEDY = "Write the whole URL: https://YOUR_OAUTH_DOMAIN/oauth/token."  # noqa: S105 - a sentence
_UNIX_PATH_MAX = 107
"""Bytes: sun_path of unix(7), less the closing NUL."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How the settings reference names a type."""

    name: str


def fault(what: str, remedy: str) -> PydanticCustomError:
    """A validation error that says what is wrong, without the value, and what to do."""
    # As context, not as template: braces in the text mean nothing then.
    return PydanticCustomError(FAULT, "{what}", {"what": what, "remedy": remedy})


def is_loopback(host: str) -> bool:
    """Whether the host can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, not an address
        return host == "localhost"


def listens_beyond_loopback(listen: str) -> bool:
    """Whether other machines can reach a listen address."""
    return not listen.startswith("unix:") and not is_loopback(listen.rpartition(":")[0].strip("[]"))


def url_of_domain(domain: str) -> str:
    """The token URL of an OAuth domain: a host name, or a URL with or without a path."""
    if "://" not in domain:
        domain = f"https://{domain}"
    scheme, _, rest = domain.partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}/{path}" if path else f"{scheme}://{host}{TOKEN_PATH}"


def _duration(value: object) -> float:
    match value:
        case bool():
            raise fault("is not a duration", _DURATION_REMEDY)
        case int() | float() if 0 <= value < math.inf:
            return float(value)
        case str() if found := _DURATION.fullmatch(value.strip()):
            return float(found[1]) * _UNITS[found[2] or "s"]
        case _:
            raise fault("is not a duration", _DURATION_REMEDY)


def _secret(value: object) -> Secret:
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str):
        raise fault("is not a text", "Put it between quotes.")
    if not text:
        raise fault("is empty", "Write the secret, or better name a file that holds it.")
    if found := secret_fault(text):
        raise fault(*found)
    return Secret(text)


def _redis_url(value: object) -> Secret:
    url = _secret(value)
    if found := redis_url.fault_in(url.reveal()):
        raise fault(*found)
    return url


def _token_url(value: str) -> str:
    parts = _split(value, _TOKEN_URL_REMEDY)
    if (
        parts.scheme not in ("https", "http")
        or not parts.hostname
        or not value.isascii()
        or " " in value
        or "\\" in value
    ):
        raise fault("is not an absolute https:// URL", _TOKEN_URL_REMEDY)
    if "@" in parts.netloc:
        raise fault("holds a user name or a password", "Give those as client_id and client_secret of a client.")
    if "#" in value:
        raise fault("holds a fragment (#…)", "Leave it out: an endpoint has none (RFC 6749, section 3.2).")
    return value


def _https_url(value: str) -> str:
    if not _token_url(value).startswith("https://"):
        raise fault("is not an https:// URL", "Keys that were fetched in clear prove nothing: use https.")
    return value


def _trust_domain(value: str) -> str:
    if not _TRUST_DOMAIN.fullmatch(value):
        raise fault("is not a trust domain", "Write its name alone, in small letters: prod.example.com")
    return value


def _algorithm(value: str) -> str:
    if value not in ALGORITHMS:
        raise fault("is no algorithm that is accepted", f"Use some of {', '.join(ALGORITHMS)}.")
    return value


def _prefix(value: str) -> str:
    # A brace would move the hash tag, and a glob character would let lists and the ACL see others' keys.
    if not _PREFIX.fullmatch(value):
        raise fault(
            "is not a prefix of names",
            "Write 1 to 64 letters, digits and _ . : -, such as staging:mintonce.",
        )
    return value


def _mode(value: str) -> str:
    if not _MODE.fullmatch(value):
        raise fault("is not a mode", 'Write three octal digits, such as "0600" or "0660".')
    return value


def _listen(value: str) -> str:
    if value.startswith("unix:"):
        path = value.removeprefix("unix:")
        if not path.startswith("/") or not path.strip("/") or not path.isprintable():
            raise fault("names no socket by an absolute path", _LISTEN_REMEDY)
        if len(path.encode()) > _UNIX_PATH_MAX:
            raise fault(f"is longer than the {_UNIX_PATH_MAX} bytes of a socket's path", "Choose a shorter path.")
        return value
    parts = _split(f"tcp://{value}", _LISTEN_REMEDY)
    if not parts.hostname or parts.port is None or parts.netloc != value or "@" in value:
        raise fault("is not an address to listen on", _LISTEN_REMEDY)
    return value


def _split(url: str, remedy: str) -> SplitResult:
    """The parts of a URL whose host and port are well formed."""
    parts = _split_or_none(url) if url.isprintable() else None  # urlsplit drops line breaks in silence
    if parts is None:
        # Outside of any handler: the text of urlsplit's ValueError repeats parts of the URL.
        raise fault("is not a URL: its host or port is malformed", remedy)
    return parts


def _split_or_none(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed only when asked for
    except ValueError:
        return None
    return parts


def _list(value: object) -> object:
    """Environment variables have no lists: commas part the items."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def claims(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Checks the claims of a client that are its own."""
    taken = sorted(OWN_PARAMETERS & value.keys())
    if taken:
        raise fault(f"holds {', '.join(taken)}", "Leave those out: other settings of the client say them.")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        finite = False
    else:
        finite = True
    if not finite:
        raise fault("holds a number that JSON cannot say", "Leave out nan and inf.")
    return value


def _audience(value: str) -> str:
    return _valid(value, lambda: TokenKey.of("any", value))


def _client_name(value: str) -> str:
    return _valid(value, lambda: TokenKey.of(value, ""))


def _valid(value: str, check: Callable[[], TokenKey]) -> str:
    try:
        check()
    except InvalidRequest as error:
        raise fault("is malformed", f"Write {error.remedy.partition(': ')[2]}") from error
    return value


Text = Annotated[str, Kind("text")]
Flag = Annotated[bool, Kind("true or false")]
Duration = Annotated[float, BeforeValidator(_duration), Kind("duration")]
SecretText = Annotated[Secret, PlainValidator(_secret), Kind("secret text")]
RedisUrl = Annotated[Secret, PlainValidator(_redis_url), Kind("URL")]
TokenUrl = Annotated[str, AfterValidator(_token_url), Kind("URL")]
Listen = Annotated[str, AfterValidator(_listen), Kind("address")]
Audience = Annotated[str, AfterValidator(_audience)]
Audiences = Annotated[tuple[Audience, ...], BeforeValidator(_list), Kind("list of texts")]
Name = Annotated[str, AfterValidator(_client_name)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_list), Kind("list of texts")]
TrustDomains = Annotated[
    tuple[Annotated[str, AfterValidator(_trust_domain)], ...], BeforeValidator(_list), Kind("list of texts")
]
Algorithms = Annotated[
    tuple[Annotated[str, AfterValidator(_algorithm)], ...], BeforeValidator(_list), Kind("list of texts")
]
HttpsUrl = Annotated[str, AfterValidator(_https_url), Kind("URL")]
Prefix = Annotated[str, AfterValidator(_prefix), Kind("text")]
Mode = Annotated[str, AfterValidator(_mode), Kind("mode")]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Lower = BeforeValidator(_lower)
"""For words such as INFO, which people write as they like."""
