"""What an issuer says about a refusal in its own words, made fit for the server's log. Pure. Callers never see it."""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast
from urllib.parse import quote, quote_plus

from mintonce_server.core.text import printable

MAX_SAID: Final = 600
"""Characters. Microsoft Entra's descriptions have about 400."""

MAX_LISTED: Final = 8

_ESCAPE: Final = re.compile("%[0-9A-F]{2}")

_TEXTS: Final = ("error_description", "error_message", "message", "errorSummary")
_NAMED: Final = ("error_codes", "error_subcode", "trace_id", "correlation_id", "errorId")

HIDDEN: Final = "[secret]"


def explanation(fields: Mapping[str, object], secrets: Iterable[str]) -> str:
    """The issuer's description and ids, bounded and printable, without the secrets that were sent to it; or ""."""
    said = "; ".join((*_texts(fields), *_ids(fields)))
    for secret in sorted(_spellings(secrets), key=len, reverse=True):
        said = said.replace(secret, HIDDEN)
    return printable(" ".join(said.split()), MAX_SAID)


def _texts(fields: Mapping[str, object]) -> Iterator[str]:
    for name in _TEXTS:
        if isinstance(text := fields.get(name), str) and text.strip():
            yield text
            return


def _ids(fields: Mapping[str, object]) -> Iterator[str]:
    for name in _NAMED:
        value = fields.get(name)
        values = cast("list[object]", value) if isinstance(value, list) else [value]
        shown = [_shown(item) for item in values[:MAX_LISTED] if isinstance(item, str | float | int)]
        if shown:
            yield f"{name} {' '.join(shown)}"


def _shown(value: str | float) -> str:
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def _spellings(secrets: Iterable[str]) -> Iterator[str]:
    """A secret as it is, and as it may be echoed from a form, a URL, JSON, a page or a Basic header."""
    for secret in filter(None, secrets):
        data = secret.encode()
        escaped = {quote_plus(secret), quote(secret), quote(secret, safe="")}
        yield secret
        yield from escaped
        yield from (_ESCAPE.sub(lambda found: found[0].lower(), text) for text in escaped)
        yield from (html.escape(secret), html.escape(secret, quote=False), json.dumps(secret)[1:-1])
        for encoded in (base64.b64encode(data), base64.urlsafe_b64encode(data)):
            yield encoded.decode().rstrip("=")
        yield from (data.hex(), data.hex().upper())
