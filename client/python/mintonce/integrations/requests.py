"""`session.auth = MintonceAuth(source)`: needs the extra `mintonce[requests]`, which is requests 2.32 or later."""

from functools import partial
from typing import Any, cast

try:
    import requests
    from requests import cookies
    from requests.auth import AuthBase
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "mintonce.integrations.requests needs requests: pip install 'mintonce[requests]'", name="requests"
    ) from error

from mintonce.errors import MintonceError
from mintonce.integrations import _log
from mintonce.source import TokenSource
from mintonce.token import Token

_extract_cookies: Any = cast("Any", cookies).extract_cookies_to_jar  # untyped there


class MintonceAuth(AuthBase):
    """Sends the source's token. After a 401 it rejects the token and repeats the request once with the successor.

    A request whose body was a stream that cannot be rewound is not repeated. The token is still rejected.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        token = self._source.get()
        r.headers["Authorization"] = token.header
        hooked: Any = r  # requests types no hooks
        hooked.register_hook("response", partial(self._answered, token=token, position=_position(hooked.body)))
        return r

    def _answered(
        self, response: requests.Response, *, token: Token, position: int | None, **how: Any
    ) -> requests.Response:
        # After a redirect to another host, requests does not send our token: a 401 then says nothing about it.
        if response.status_code != 401 or response.request.headers.get("Authorization") != token.header:
            return response
        try:
            successor = self._source.reject(token)
        except MintonceError as error:
            _log.not_replaced(error)
            return response
        return response if position is None else _repeat(response, successor, position, how)


def _repeat(response: requests.Response, token: Token, position: int, how: dict[str, Any]) -> requests.Response:
    """Send the request of the response again, without the session's hooks: so at most once."""
    # The connection returns to the pool when its response has been read.
    _ = response.content
    response.close()
    request: Any = response.request.copy()  # requests types neither cookies nor bodies
    rewind = getattr(request.body, "seek", None)
    if rewind is not None:
        rewind(position)
    jar: Any = request._cookies  # noqa: SLF001 - as requests' own HTTPDigestAuth does
    _extract_cookies(jar, response.request, response.raw)
    request.prepare_cookies(jar)
    request.headers["Authorization"] = token.header
    answered: Any = response  # `connection` is set by the adapter and in no type
    second: requests.Response = answered.connection.send(request, **how)
    second.history.append(response)
    second.request = request
    return second


def _position(body: Any) -> int | None:
    """Where to rewind the body to; None when it cannot be sent twice."""
    if body is None or isinstance(body, str | bytes):
        return 0
    try:
        return int(body.tell())
    except (AttributeError, OSError):
        return None
