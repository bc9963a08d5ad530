"""Masking of secrets in logs: by the type of a value, by the name of a field, by the pattern of a text.

Code that logs must not pass secrets in the first place; this is a safety net.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Final, cast

from structlog.typing import EventDict

from mintonce_server.core.secret import MASK, Secret

MAX_DEPTH: Final = 6
MAX_ITEMS: Final = 50
MAX_TEXT: Final = 8192
"""Characters. Longer texts are cut."""

_MAX_NUMBER: Final = 10**18

NAMES: Final = frozenset(
    {"caller", "client", "audience", "scopes", "granted_scopes", "granted_audience", "asked", "granted"}
)
"""Fields that hold names. A scope may be called `token:read`, and an account `my-token:web`: these are no secrets."""

MAX_KNOWN: Final = 2000
"""Secrets that are searched for in each log line."""

_MIN_KNOWN: Final = 6
"""Shorter secrets are not searched for: they would mask parts of ordinary words."""

# Compared without case, "_", "-" and ".": `access_token`, `accessToken`, `X-Api-Key`, `set-cookie`.
_SECRET_ENDINGS = (
    "token", "secret", "password", "passwd", "passphrase", "authorization", "assertion", "apikey", "privatekey",
    "cookie", "credential", "credentials",
)  # fmt: skip

_NAME = (
    r"(?:access_?token|refresh_?token|id_?token|token|client_?secret|secret|client_?assertion|assertion|password|passwd"
    r"|authorization|api[_-]?key)"
)
_SCHEME = r"(?:(?:bearer|basic|dpop|digest|negotiate)\s+)?"
_SEPARATOR = r"(?:\\?[\"'])?\s*[=:]\s*"

_Shapes = tuple[tuple[re.Pattern[str], str], ...]
_JWTS: Final[_Shapes] = ((re.compile(r"eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,4}"), MASK),)
_URLS: Final[_Shapes] = (
    # USER:PASSWORD is what remedies say.
    (re.compile(r"://(?!(?:USER)?:PASSWORD@)[^\s\"'\\<>]*@"), f"://{MASK}@"),
    (re.compile(r"(?i)(https?://[^\s\"'\\?]*)\?[^\s\"'\\]+"), rf"\1?{MASK}"),
)

# All are safe for rendered lines: none removes a quote, a backslash or a bracket. Tokens first, so that x is masked in
# "Authorization: Bearer x", and not only "Bearer".
_SHAPES: Final[_Shapes] = (
    *_JWTS,
    (re.compile(r"(?i)\b(bearer|dpop)\s+(?!\[redacted)[^\s\"'\\,;)}\]]+"), rf"\1 {MASK}"),
    (re.compile(r"(?i)\b(basic)\s+[A-Za-z0-9+/=_-]{8,}"), rf"\1 {MASK}"),
    *_URLS,
    (
        re.compile(
            rf"(?i)({_NAME}{_SEPARATOR})(\\?[\"'])?{_SCHEME}(?!\[redacted)[^\s\"'\\&,;:)}}\]\[][^\s\"'\\&,;)}}\]\[]*"
        ),
        rf"\1\2{MASK}",
    ),
)

# Only for texts that are not rendered yet: there, a quote starts a value, which may contain spaces.
_QUOTED = re.compile(rf"(?i)({_NAME}{_SEPARATOR})(b?)([\"'])(?:(?!\3)[^\\]|\\.)*\3")


class Redactor:
    """Masks secrets; a structlog processor. `known`: secrets without a pattern, such as client secrets."""

    def __init__(self, known: Iterable[Secret] = ()) -> None:
        self._known: list[str] = []
        self._newest: list[str] = []
        for secret in known:
            self.know(secret)

    def __repr__(self) -> str:
        return "Redactor()"

    def know(self, secret: Secret) -> None:
        """Mask this secret, too. The newest MAX_KNOWN count: files are replaced again and again."""
        text = secret.reveal()
        if len(text) < _MIN_KNOWN:
            return
        self._newest = [*(known for known in self._newest if known != text), text][-MAX_KNOWN:]
        # Longer ones first: one may be part of another.
        self._known = sorted(self._newest, key=len, reverse=True)

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        """A processor of structlog."""
        return {name: self.names(value) if name in NAMES else self.field(name, value) for name, value in event.items()}

    def value(self, value: object, depth: int = 0) -> object:
        """The value as strings, numbers, lists and tables that may be written."""
        match value:
            case Secret():
                return MASK
            case None | bool():
                return value
            case int() | float():
                return value if abs(value) < _MAX_NUMBER else "…"  # JSON parsers disagree about others
            case str():
                return self.text(value)
            case bytes() | bytearray():
                return f"<{len(value)} bytes>"
            case _ if depth >= MAX_DEPTH:
                return "…"
            case Mapping():
                return self._table(cast("Mapping[object, object]", value), depth)
            case list() | tuple() | set() | frozenset():
                return self._items(cast("Iterable[object]", value), depth)
            case _ if is_dataclass(value) and not isinstance(value, type):
                return self._table({item.name: getattr(value, item.name, None) for item in fields(value)}, depth)
            case _:
                return self.text(_repr(value))

    def field(self, name: object, value: object, depth: int = 0) -> object:
        """The value of a field, masked entirely if its name is that of a secret."""
        return MASK if is_secret_name(name) else self.value(value, depth + 1)

    def text(self, text: str) -> str:
        """A text that is not rendered yet."""
        return self.line(_QUOTED.sub(rf"\1\2\3{MASK}\3", _cut(self._without_known(text))))

    def line(self, line: str) -> str:
        """A rendered line; one of JSON stays JSON."""
        return _masked(self._without_known(line), _SHAPES)

    def name(self, text: str) -> str:
        """A name, in which only JWTs and the user and query parts of URLs are masked."""
        return _masked(self._without_known(text), (*_JWTS, *_URLS))

    def names(self, value: object) -> object:
        """The value of one of NAMES."""
        if isinstance(value, str):
            return _cut(self.name(value))  # in this order: half of a token may look like none
        if isinstance(value, list | tuple):
            return [self.names(item) for item in cast("Sequence[object]", value)[:MAX_ITEMS]]
        return self.value(value)

    def _without_known(self, text: str) -> str:
        for secret in self._known:
            text = text.replace(secret, MASK)
        return text

    def _table(self, table: Mapping[object, object], depth: int) -> dict[str, object]:
        shown = list(table.items())[:MAX_ITEMS]
        return {self.text(str(name)): self.field(name, value, depth) for name, value in shown}

    def _items(self, items: Iterable[object], depth: int) -> object:
        listed = list(items)
        # A pair whose first item is the name of a secret: gRPC metadata and HTTP headers are such pairs.
        if len(listed) == 2 and is_secret_name(listed[0]):
            return [listed[0], MASK]
        return [self.value(item, depth + 1) for item in listed[:MAX_ITEMS]]


def is_secret_name(name: object) -> bool:
    """Whether any value of such a field is secret."""
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    return isinstance(name, str) and re.sub(r"[-_. ]", "", name).lower().endswith(_SECRET_ENDINGS)


def _masked(text: str, shapes: _Shapes) -> str:
    for pattern, mask in shapes:
        text = pattern.sub(mask, text)
    return text


def _cut(text: str) -> str:
    """The beginning and the end of a long text: the end of a traceback is the most useful part."""
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT // 2]} … {text[-MAX_TEXT // 2 :]}"


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a log call never fails, whatever it is given
        return f"<{type(value).__name__}: its repr raised {type(error).__name__}>"
