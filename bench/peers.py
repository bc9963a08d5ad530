"""What Python's read is compared with: MSAL, which keeps a token in memory, too."""

import json
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import msal  # type: ignore[import-untyped] # MSAL has no types

AUTHORITY: Final = "https://issuer.example.com/tenant"
SCOPE: Final = "https://api.example.com/.default"


class _Application(Protocol):
    """What is used of MSAL, which has no types."""

    def acquire_token_for_client(self, scopes: list[str]) -> dict[str, Any]: ...


class _Reply:
    """An HTTP reply as MSAL reads it."""

    status_code = 200

    def __init__(self, body: dict[str, Any]) -> None:
        self.text = json.dumps(body)
        self.headers: dict[str, str] = {}

    def raise_for_status(self) -> None: ...


class _Issuer:
    """MSAL's HTTP client, with an issuer in it: nothing leaves the process."""

    def get(self, url: str, **_: object) -> _Reply:
        endpoints = ("authorization_endpoint", "token_endpoint", "device_authorization_endpoint")
        return _Reply({"issuer": AUTHORITY, **{name: f"{AUTHORITY}/{name}" for name in endpoints}})

    def post(self, url: str, **_: object) -> _Reply:
        return _Reply({"access_token": "t" * 900, "token_type": "Bearer", "expires_in": 86_400})

    def close(self) -> None: ...


def msal_read() -> Callable[[], object]:
    """A read of a token that MSAL holds already."""
    make = cast(Callable[..., _Application], msal.ConfidentialClientApplication)
    application = make("bench", client_credential="bench", oidc_authority=AUTHORITY, http_client=_Issuer())

    def read() -> object:
        return application.acquire_token_for_client([SCOPE])["access_token"]

    read()
    return read
