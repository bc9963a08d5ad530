"""Lists of live tokens: one at a time, in pages (AIP-158).

The store returns its records in no order, so each page reads all of them and keeps the ones that come next.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from itertools import islice
from typing import Final

from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Token

MAX_PAGE_SIZE: Final = 1000
MAX_PAGE_BYTES: Final = 1 << 20
"""Bytes of the keys of a page. By default gRPC clients accept messages of up to 4 MiB."""
MAX_PAGE_TOKEN: Final = 32 * 1024
"""Characters. The largest key needs three quarters of them."""

Place = tuple[str, str, tuple[str, ...]]
"""Where a key stands in a list. Lists are sorted by it."""


class Page:
    """Collects the tokens that come next in a list, in any order, and holds at most twice as many as fit."""

    def __init__(self, size: int, after: Place | None, may_see: Callable[[Token], bool]) -> None:
        """`after`: the last place of the page before. `may_see`: whether the caller may see a token."""
        self._size = size
        self._after = after
        self._may_see = may_see
        self._found: dict[Place, Token] = {}

    def offer(self, token: Token) -> bool:
        """Consider a token of the store. Always False: this page keeps what it needs itself."""
        place = place_of(token.key)
        known = self._found.get(place)  # a scan may return a record twice, and a successor between the two
        if (self._after is None or place > self._after) and (known is None or known.generation < token.generation):
            if known is not None or self._may_see(token):
                self._found[place] = token
            if len(self._found) > 2 * self._size + 1:
                self._found = dict(self._next(self._size + 1))
        return False

    def tokens(self) -> tuple[list[Token], Place | None]:
        """The tokens of the page, sorted; and the place to continue after, or None if this is the last page."""
        ordered, total = self._next(self._size), 0
        for index, (place, _) in enumerate(ordered):
            total += len(place[0]) + len(place[1]) + sum(map(len, place[2]))
            if total > MAX_PAGE_BYTES and index:
                ordered = ordered[:index]
                break
        last = ordered[-1][0] if len(ordered) < len(self._found) else None
        return [token for _, token in ordered], last

    def _next(self, count: int) -> list[tuple[Place, Token]]:
        return list(islice(sorted(self._found.items(), key=lambda item: item[0]), count))


def place_of(key: TokenKey) -> Place:
    """Where the key stands."""
    return key.client, key.audience, key.scopes


def page_size_of(requested: int) -> int:
    """Raises InvalidRequest when negative."""
    if requested < 0:
        raise InvalidRequest("page_size is negative", remedy="Send zero or more, or leave it out.")
    return min(requested or MAX_PAGE_SIZE, MAX_PAGE_SIZE)


def page_token_of(client: str, after: Place | None) -> str:
    """The page token for what comes after a place; "" for None. It holds only a key that its reader has just seen."""
    if after is None:
        return ""
    name, audience, scopes = after
    return urlsafe_b64encode("\n".join((client, name, audience, *scopes)).encode()).decode().rstrip("=")


def place_after(page_token: str, client: str) -> Place | None:
    """The place that a page token stands for; None for "". Raises InvalidRequest."""
    if not page_token:
        return None
    if len(page_token) > MAX_PAGE_TOKEN:
        raise _malformed()
    try:
        text = urlsafe_b64decode(page_token + "=" * (-len(page_token) % 4)).decode()
        listed, name, audience, *scopes = text.split("\n")
        place = place_of(TokenKey.of(name, audience, scopes))
    except (ValueError, InvalidRequest) as error:  # ValueError: not base64, not UTF-8, too few parts
        raise _malformed() from error
    if page_token_of(listed, place) != page_token:  # one form only
        raise _malformed()
    if listed != client:
        raise InvalidRequest(
            "page_token is from a list of another client", remedy="Send the same client with every page of a list."
        )
    return place


def _malformed() -> InvalidRequest:
    return InvalidRequest(
        "page_token is malformed", remedy="Send the next_page_token of an earlier answer, or none for the first page."
    )
