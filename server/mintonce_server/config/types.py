"""The types of settings: how each value is written, and what it becomes."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, JsonValue, PlainValidator
from pydantic_core import PydanticCustomError

from mintonce_server.common.files import FileError, read_file, require_private
from mintonce_server.common.oauth import JWT_ALGORITHMS, OWN_PARAMETERS
from mintonce_server.config.redis_url import redis_url_error
from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret

CUSTOM_ERROR: Final = "mintonce"
"""The type of the validation errors that are raised here; their context has a `remedy`."""

MAX_SECRET: Final = 4096
"""Characters. Client secrets usually have a few dozen."""

_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_MODE = re.compile(r"0?[0-7]{3}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION_REMEDY = 'Write seconds as a number, or a string such as "250ms", "30s", "5m", "24h".'

_LISTEN_REMEDY = "Write HOST:PORT, such as 127.0.0.1:50051 or [::1]:50051, or unix:/PATH."
_TOKEN_URL_REMEDY = "Write the whole URL: https://YOUR_OAUTH_DOMAIN/oauth/token."  # noqa: S105 - a sentence
_ONLY_THE_SECRET = "Write the secret, and nothing else, into the file."  # noqa: S105 - a sentence
_UNIX_PATH_MAX = 107
"""Bytes: sun_path of unix(7), without the terminating NUL."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The name of a type in the settings reference."""

    name: str


File = Annotated[Path, Kind("file")]


class Section(BaseModel):
    """What all tables of the settings have in common: frozen, and unknown keys are errors."""

    # hide_input_in_errors: pydantic would otherwise print values, secrets among them.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def read_secret(path: Path) -> Secret:
    """The text of a private file, without one trailing line break, which editors add. Raises FileError."""
    data = read_file(path)
    require_private(path)
    return secret_in(data)


def secret_in(data: bytes) -> Secret:
    """The secret that the bytes of a file hold. Raises FileError."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None  # raised below: the exception holds the bytes, so it must not become a cause
    if text is None:
        raise FileError("is not UTF-8 text", _ONLY_THE_SECRET)
    text = text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
    if not text:
        raise FileError("is empty", _ONLY_THE_SECRET)
    if error := _secret_error(text):
        raise FileError(*error)
    return Secret(text)


def _secret_error(text: str) -> tuple[str, str] | None:
    """What is wrong with the text of a secret, and the remedy."""
    if not text.isprintable():
        return (
            "contains a control character, such as a line break",
            "Write the secret as one line, without spaces around it.",
        )
    if len(text) > MAX_SECRET:
        return f"contains more than {MAX_SECRET} characters", _ONLY_THE_SECRET
    return None


def invalid(what: str, remedy: str) -> PydanticCustomError:
    """A validation error that says what is wrong, without the value, and what to do."""
    # As context, not as template: braces in the text must not be substituted.
    return PydanticCustomError(CUSTOM_ERROR, "{what}", {"what": what, "remedy": remedy})


def _duration(value: object) -> float:
    match value:
        case bool():
            raise invalid("is not a duration", _DURATION_REMEDY)
        case int() | float() if 0 <= value < math.inf:
            return float(value)
        case str() if found := _DURATION.fullmatch(value.strip()):
            return float(found[1]) * _UNITS[found[2] or "s"]
        case _:
            raise invalid("is not a duration", _DURATION_REMEDY)


def _secret(value: object) -> Secret:
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str):
        raise invalid("is not a string", "Put it between quotes.")
    if not text:
        raise invalid("is empty", "Write the secret, or better: name a file that holds it.")
    if error := _secret_error(text):
        raise invalid(*error)
    return Secret(text)


def _redis_url(value: object) -> Secret:
    url = _secret(value)
    if error := redis_url_error(url.reveal()):
        raise invalid(*error)
    return url


def endpoint_url(value: str, remedy: str = _TOKEN_URL_REMEDY) -> str:
    """Validates an absolute http(s) URL without user, password and fragment."""
    parts = _split(value, remedy)
    if (
        parts.scheme not in ("https", "http")
        or not parts.hostname
        or not value.isascii()
        or " " in value
        or "\\" in value
    ):
        raise invalid("is not an absolute https:// URL", remedy)
    if "@" in parts.netloc:
        raise invalid("contains a user name or a password", "Set them as client_id and client_secret of a client.")
    if "#" in value:
        raise invalid("contains a fragment (#…)", "Remove it: an endpoint has none (RFC 6749, section 3.2).")
    return value


def _https_url(value: str) -> str:
    if not endpoint_url(value).startswith("https://"):
        raise invalid("is not an https:// URL", "Use https: keys fetched without TLS could be anyone's.")
    return value


def _trust_domain(value: str) -> str:
    if not _TRUST_DOMAIN.fullmatch(value):
        raise invalid("is not a trust domain", "Write only its name, in lower case: prod.example.com.")
    return value


def _algorithm(value: str) -> str:
    if value not in JWT_ALGORITHMS:
        raise invalid("contains an algorithm that is not accepted", f"Use some of {', '.join(JWT_ALGORITHMS)}.")
    return value


def _prefix(value: str) -> str:
    # A brace would change the hash tag; a glob character would make lists and the ACL match other installations' keys.
    if not _PREFIX.fullmatch(value):
        raise invalid(
            "is not a valid prefix",
            "Write 1 to 64 letters, digits and _ . : -, such as staging:mintonce.",
        )
    return value


def _mode(value: str) -> str:
    if not _MODE.fullmatch(value):
        raise invalid("is not a file mode", 'Write three octal digits, such as "0600" or "0660".')
    return value


def _listen(value: str) -> str:
    if value.startswith("unix:"):
        path = value.removeprefix("unix:")
        if not path.startswith("/") or not path.strip("/") or not path.isprintable():
            raise invalid("does not name a socket by an absolute path", _LISTEN_REMEDY)
        if len(path.encode()) > _UNIX_PATH_MAX:
            raise invalid(f"is longer than {_UNIX_PATH_MAX} bytes", "Choose a shorter path.")
        return value
    parts = split_or_none(f"tcp://{value}")
    if parts is None or not parts.hostname or parts.port is None or parts.netloc != value or "@" in value:
        raise invalid("is not a listen address", _LISTEN_REMEDY)
    return value


def _split(url: str, remedy: str) -> SplitResult:
    """The parts of a URL whose host and port are well formed."""
    parts = split_or_none(url)
    if parts is None:
        # Raised outside of the handler: the text of urlsplit's ValueError repeats parts of the URL.
        raise invalid("is not a URL: its host or port is malformed", remedy)
    return parts


def split_or_none(url: str) -> SplitResult | None:
    """The parts of a URL, or None if its host or port is malformed. No error of urlsplit, which repeats parts of it."""
    if not url.isprintable():  # urlsplit silently drops line breaks
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed on access
    except ValueError:
        return None
    return parts


def comma_separated(value: object) -> object:
    """Environment variables have no lists: commas separate the items."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def claims(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Validates `extra` of a client."""
    taken = sorted(OWN_PARAMETERS & value.keys())
    if taken:
        raise invalid(f"contains {', '.join(taken)}", "Remove them: other settings of the client set them.")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        finite = False
    else:
        finite = True
    if not finite:
        raise invalid("contains a number that JSON cannot represent", "Remove nan and inf.")
    return value


def _audience(value: str) -> str:
    return _valid(value, lambda: TokenKey.of("any", value))


def _client_name(value: str) -> str:
    return _valid(value, lambda: TokenKey.of(value, ""))


def _valid(value: str, check: Callable[[], TokenKey]) -> str:
    try:
        check()
    except InvalidRequest as error:
        raise invalid("is malformed", f"Write {error.remedy.partition(': ')[2]}") from error
    return value


Text = Annotated[str, Kind("string")]
Flag = Annotated[bool, Kind("true or false")]
Duration = Annotated[float, BeforeValidator(_duration), Kind("duration")]
SecretText = Annotated[Secret, PlainValidator(_secret), Kind("secret string")]
RedisUrl = Annotated[Secret, PlainValidator(_redis_url), Kind("URL")]
TokenUrl = Annotated[str, AfterValidator(endpoint_url), Kind("URL")]
Listen = Annotated[str, AfterValidator(_listen), Kind("address")]
Audience = Annotated[str, AfterValidator(_audience)]
Audiences = Annotated[tuple[Audience, ...], BeforeValidator(comma_separated), Kind("list of strings")]
Name = Annotated[str, AfterValidator(_client_name)]
SecretFiles = Annotated[tuple[Path, ...], BeforeValidator(comma_separated), Kind("list of files")]
Texts = Annotated[tuple[str, ...], BeforeValidator(comma_separated), Kind("list of strings")]
TrustDomains = Annotated[
    tuple[Annotated[str, AfterValidator(_trust_domain)], ...], BeforeValidator(comma_separated), Kind("list of strings")
]
Algorithms = Annotated[
    tuple[Annotated[str, AfterValidator(_algorithm)], ...], BeforeValidator(comma_separated), Kind("list of strings")
]
HttpsUrl = Annotated[str, AfterValidator(_https_url), Kind("URL")]
Prefix = Annotated[str, AfterValidator(_prefix), Kind("string")]
Mode = Annotated[str, AfterValidator(_mode), Kind("mode")]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Lower = BeforeValidator(_lower)
"""Case-insensitive words, such as INFO."""
