"""One request to an API with the token of a source, by the HTTP libraries that the client knows."""

from typing import Any, Final

import httpx
import requests

from mintonce.integrations.httpx import MintonceAuth
from mintonce.integrations.requests import MintonceAuth as RequestsAuth

_LIMIT: Final = 20.0
"""Seconds that an API's answer may take."""


async def by_httpx_async(source: Any, method: str, url: str, content: Any) -> tuple[int, str]:
    async with httpx.AsyncClient(
        auth=MintonceAuth(source), follow_redirects=True, trust_env=False, timeout=_LIMIT
    ) as http:
        response = await http.request(method, url, content=content)
        return response.status_code, response.text


def by_httpx(source: Any, method: str, url: str, content: Any) -> tuple[int, str]:
    with httpx.Client(auth=MintonceAuth(source), follow_redirects=True, trust_env=False, timeout=_LIMIT) as http:
        response = http.request(method, url, content=content)
        return response.status_code, response.text


def by_requests(source: Any, method: str, url: str, content: Any) -> tuple[int, str]:
    with requests.Session() as session:
        session.trust_env = False
        session.auth = RequestsAuth(source)
        response = session.request(method, url, data=content, timeout=_LIMIT)
        return response.status_code, response.text
