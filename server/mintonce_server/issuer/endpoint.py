"""An issuer's token endpoint over HTTP. The only file that knows httpx."""

import asyncio
import logging
import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from mintonce_server.core.errors import IssuerError, IssuerMalformed, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Clock, Issuer
from mintonce_server.core.token import Minted
from mintonce_server.issuer.answer import Answer, Asked, read_answer
from mintonce_server.issuer.authentication import authentication
from mintonce_server.issuer.body import BadBody, read_bounded, unpack
from mintonce_server.issuer.options import ClientCredentials, EndpointOptions
from mintonce_server.issuer.request import MintRequest, build_request

MAX_CONNECTIONS: Final = 20
"""To one issuer. More would only run into its rate limit."""

# At DEBUG these write down header values, Authorization among them; httpx writes whole URLs at INFO.
_TALKATIVE: Final = ("httpx", "httpcore", "hpack", "h2")


class TokenEndpoint:
    """One issuer with its pool of connections; shared by all clients of that issuer. Close it when they are done."""

    def __init__(self, options: EndpointOptions, clock: Clock) -> None:
        """Connects to nothing yet. Raises ValueError for options that cannot work."""
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._options = options
        self._clock = clock
        self._http = _http_client(options)

    def for_client(self, credentials: ClientCredentials) -> Issuer:
        """The issuer as one client talks to it. Raises ValueError for an unknown `auth`."""
        return _ClientIssuer(self, self._options, credentials, self._clock)

    async def exchange(self, request: MintRequest) -> Answer:
        """One POST and its answer, within the total deadline. Raises IssuerUnavailable or IssuerMalformed."""
        try:
            async with asyncio.timeout(self._options.timeout):
                return await self._post(request)
        except (TimeoutError, BadBody, httpx.HTTPError, httpx.StreamError) as error:
            failure = _translated(error, self._options)
        # Raised out here, because a foreign error's text may repeat bytes of the peer's or of ours:
        # as `__context__` it would follow ours into every traceback.
        raise failure

    async def _post(self, request: MintRequest) -> Answer:
        async with self._http.stream(
            "POST", self._options.token_url, content=request.content, headers=dict(request.headers)
        ) as response:
            headers = {name.lower(): text for name, text in response.headers.items()}
            try:
                # Raw, because httpx unpacks without a bound.
                packed = await read_bounded(response.aiter_raw())
                body = unpack(headers.get("content-encoding", ""), packed)
            except BadBody:
                if response.is_success:
                    raise
                body = b""  # a page for people, say: the status says enough
            return Answer(response.status_code, headers, body)

    async def close(self) -> None:
        """Gives the connections back. Mints that are under way fail."""
        await self._http.aclose()


class _ClientIssuer:
    def __init__(
        self, endpoint: TokenEndpoint, options: EndpointOptions, credentials: ClientCredentials, clock: Clock
    ) -> None:
        self._endpoint = endpoint
        self._options = options
        self._extra = credentials.extra
        self._authentication = authentication(options.auth, credentials.client_id, credentials.secret)
        self._clock = clock

    async def mint(self, key: TokenKey) -> Minted:
        # Before anything else: the token may be as old as the moment in which the request was started.
        started_at = self._clock.monotonic()
        request = build_request(
            self._options.request,
            key,
            self._authentication.prove(),
            extra=self._extra,
            audience_parameter=self._options.audience_parameter,
        )
        answer = await self._endpoint.exchange(request)
        asked = Asked(
            issuer=self._options.host,
            scopes=key.scopes,
            started_at=started_at,
            now_unix=self._clock.unix(),
            default_lifetime=self._options.default_lifetime,
        )
        return read_answer(answer, asked)


def _http_client(options: EndpointOptions) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        http2=options.http2,
        verify=_trust(options.ca_file),
        proxy=options.proxy,
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - httpx counts each phase anew; `exchange` sets the one deadline
        limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS),
        # No cookies: clients share this pool, and a cookie given to one would travel with the others.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def _trust(ca_file: str | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"ca_file '{ca_file}' cannot be read as PEM certificates") from error


def _translated(error: Exception, options: EndpointOptions) -> IssuerError:
    """Ours for a foreign one. The cause is kept only where its text comes from neither peer nor request."""
    failure: IssuerError
    if isinstance(error, BadBody):
        return IssuerMalformed(
            f"the answer of {options.host} {error}", remedy="Does token_url name the token endpoint?"
        )
    if isinstance(error, TimeoutError):
        failure = IssuerUnavailable(
            f"{options.host} did not answer within {options.timeout:g} s",
            remedy="Wait: live tokens are served meanwhile. If it lasts, see whether a firewall is in the way.",
        )
    elif isinstance(error, httpx.ConnectError):
        failure = IssuerUnavailable(
            f"no connection to {options.host}",
            remedy="Check the host name in token_url, DNS, firewall, proxy, and the issuer's certificate (ca_file).",
        )
    else:
        return IssuerUnavailable(
            f"the connection to {options.host} broke ({type(error).__name__})",
            remedy="Wait: live tokens are served meanwhile. If it lasts, does token_url name an HTTP server?",
        )
    failure.__cause__ = error
    return failure
