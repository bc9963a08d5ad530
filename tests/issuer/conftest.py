"""Endpoints that are closed after the test."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from mintonce_server.core.ports import Issuer
from mintonce_server.core.secret import Secret
from mintonce_server.issuer import ClientCredentials, TokenEndpoint
from mintonce_server.issuer.options import FIXED, EndpointSources
from support.clocks import ManualClock
from support.endpoints import CLIENT_ID, SECRET, IssuerAt, endpoint_options
from support.faulty_issuer import FaultyIssuer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def practice() -> Iterator[FaultyIssuer]:
    with FaultyIssuer({CLIENT_ID: Secret(SECRET)}) as issuer:
        yield issuer


@pytest.fixture
async def issuer_at(clock: ManualClock) -> AsyncIterator[IssuerAt]:
    endpoints: list[TokenEndpoint] = []

    def make(
        token_url: str | None,
        credentials: ClientCredentials | None = None,
        sources: EndpointSources = FIXED,
        **options: Any,
    ) -> Issuer:
        endpoint = TokenEndpoint(endpoint_options(token_url, **options), clock, sources)
        endpoints.append(endpoint)
        return endpoint.for_client(credentials or ClientCredentials(CLIENT_ID, Secret(SECRET)))

    yield make
    for endpoint in endpoints:
        await endpoint.close()
