"""An API for requests that says which token it got."""

from typing import Any

import requests
from requests.adapters import BaseAdapter

API = "https://api.example.com/"


class _Api(BaseAdapter):
    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, API
        response.headers["Got"] = request.headers["Authorization"]
        return response

    def close(self) -> None:
        """Nothing is open."""


def token_sent(auth: requests.auth.AuthBase) -> str:
    """The token that this auth puts into a request of the API."""
    with requests.Session() as session:
        session.mount(API, _Api())
        return session.get(API, auth=auth).headers["Got"].removeprefix("Bearer ")
