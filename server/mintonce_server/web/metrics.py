"""`/metrics`, for Prometheus."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from mintonce_server.observability.metrics import Metrics

PATH: Final = "/metrics"

Encode = Callable[[CollectorRegistry], bytes]


class MetricsPage:
    """Answers with all metrics, as OpenMetrics where the scraper takes it. Renders one answer at a time, in a thread:
    a thousand lines hold up the event loop for twenty milliseconds.

    `admit`: raises for a request that may not see them.
    """

    def __init__(self, metrics: Metrics, admit: Callable[[web.BaseRequest], object]) -> None:
        self._metrics = metrics
        self._admit = admit
        self._turn = asyncio.Lock()

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self._admit(request)
        async with self._turn:
            for update in self._metrics.before_scrape:
                update()
            encode, content_type = _encoder(request.headers.get("Accept", ""))
            body = await asyncio.to_thread(encode, self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": content_type})


def _encoder(accept: str) -> tuple[Encode, str]:
    """In the scraper's favourite format, or in the plain one where its wish cannot be read."""
    try:
        return choose_encoder(accept)
    except Exception:  # noqa: BLE001 - the library raises what it meets
        return choose_encoder("")
