"""Where an issuer's token endpoint is: from the settings, or from its metadata, which is read and kept."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import IssuerError, IssuerUnavailable
from mintonce_server.issuer.http import HttpTransport
from mintonce_server.issuer.metadata import Metadata, NotMetadata, metadata_urls, read_metadata
from mintonce_server.issuer.options import EndpointOptions
from mintonce_server.issuer.request import read_request

KEPT_FOR: Final = 3600.0
"""Seconds until the metadata is read again."""

READ_AGAIN_WITHIN: Final = 2.0
"""Seconds that a mint waits for metadata that is known; at most a quarter of its time."""

RETRY: Final = 60.0
"""Seconds until the next try, while older metadata serves."""

_NOT_HERE: Final = frozenset({400, 401, 403, 404, 405, 406, 410})
"""Statuses of a server that has no such document: the next address is tried."""

OnRead = Callable[[Metadata], None]
OnFailure = Callable[[IssuerError], None]


class Discovery(Protocol):
    """Tells where the token endpoint is."""

    async def metadata(self, deadline: float) -> Metadata:
        """The metadata, before the deadline, a time of the event loop's clock. Raises IssuerError."""
        ...

    def doubt(self, *, within: float = 0.0) -> None:
        """The metadata may be wrong: read it again before the first mint after these seconds."""
        ...


class NoDiscovery:
    """A setting names the token endpoint."""

    def __init__(self, token_url: str) -> None:
        self._metadata = Metadata.of_url(token_url)

    async def metadata(self, deadline: float) -> Metadata:
        """The URL of the settings."""
        return self._metadata

    def doubt(self, *, within: float = 0.0) -> None:
        """Only an operator can correct it."""


class IssuerMetadata:
    """The metadata that the issuer publishes, read at the first mint and then once an hour.

    If it cannot be read again, what is known stays in use: an outage of the document stops no mint.
    """

    def __init__(
        self,
        transport: HttpTransport,
        options: EndpointOptions,
        clock: Clock,
        on_read: OnRead,
        on_failure: OnFailure,
    ) -> None:
        """`on_read`: called when the metadata is read first, and when it has changed.

        `on_failure`: called when it could not be read again, and older metadata serves.
        """
        self._transport = transport
        self._options = options
        self._clock = clock
        self._on_read = on_read
        self._on_failure = on_failure
        self._known: Metadata | None = None
        self._read_again_at = 0.0
        self._reading = asyncio.Lock()

    async def metadata(self, deadline: float) -> Metadata:
        """Read it if it is not known, or not read for an hour. Raises IssuerError if none is known."""
        if self._known is not None and (self._clock.monotonic() < self._read_again_at or self._reading.locked()):
            return self._known
        try:
            async with asyncio.timeout_at(deadline):
                await self._reading.acquire()
        except TimeoutError:
            raise IssuerUnavailable(
                f"the metadata of {self._options.host} did not come within {self._options.timeout:g} s",
                remedy="Wait: live tokens are served meanwhile. If it lasts, check for a firewall in between.",
            ) from None
        try:
            if self._known is None or self._clock.monotonic() >= self._read_again_at:
                self._known = await self._renewed(deadline)
            return self._known
        finally:
            self._reading.release()

    def doubt(self, *, within: float = 0.0) -> None:
        """Read it again before the first mint after these seconds."""
        self._read_again_at = min(self._read_again_at, self._clock.monotonic() + within)

    async def _renewed(self, deadline: float) -> Metadata:
        if self._known is not None:  # the mint must have time left if the document does not come
            deadline = min(
                deadline, asyncio.get_running_loop().time() + min(READ_AGAIN_WITHIN, self._options.timeout / 4)
            )
        try:
            found = await self._read(deadline)
        except IssuerError as error:
            if self._known is None:
                raise
            self._on_failure(error)
            self._read_again_at = self._clock.monotonic() + RETRY
            return self._known
        if found != self._known:
            self._on_read(found)
        self._read_again_at = self._clock.monotonic() + KEPT_FOR
        return found

    async def _read(self, deadline: float) -> Metadata:
        faults: list[IssuerError] = []
        for url in metadata_urls(self._options.issuer or ""):
            answer = await self._transport.exchange(read_request(url), deadline)
            if answer.status == 200:
                try:
                    return read_metadata(answer.body, self._options)
                except NotMetadata as error:  # a page, such as servers show for unknown paths
                    faults.append(error)
            elif answer.status in _NOT_HERE or 300 <= answer.status < 400:
                faults.append(self._not_found(answer.status))
            else:
                raise self._not_found(answer.status)
        raise faults[0]

    def _not_found(self, status: int) -> IssuerError:
        what = f"the metadata of {self._options.host} cannot be read (status {status})"
        if 300 <= status < 400:
            return IssuerUnavailable(
                what, remedy="Redirects are not followed: set `issuer` to where it leads, or set token_url."
            )
        if status in _NOT_HERE:
            return IssuerUnavailable(
                what,
                remedy="Check that `issuer` is the issuer's identifier, such as https://HOST/realms/NAME; or set "
                "token_url instead, if the issuer has no metadata.",
            )
        return IssuerUnavailable(
            what, remedy="Wait: live tokens are served meanwhile. If it lasts, see the issuer's log."
        )
