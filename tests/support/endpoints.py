"""The client that issuer tests mint for."""

from collections.abc import Callable
from typing import Any, Final

from mintonce_server.core.ports import Issuer
from mintonce_server.issuer.options import EndpointOptions
from mintonce_server.issuer.response import RequestContext

CLIENT_ID: Final = "the-client"
SECRET: Final = "s3cr3t-of-the-client"

IssuerAt = Callable[..., Issuer]
"""(token_url, credentials=that client's, sources=FIXED, **options of EndpointOptions) → the issuer for the client."""


def endpoint_options(token_url: str | None, **changes: Any) -> EndpointOptions:
    """Options of an endpoint that differ from plain ones in these."""
    plain: dict[str, Any] = {
        "issuer": None,
        "provider": "",
        "request": "json",
        "auth": "client_secret_post",
        "auth_is_fixed": True,
        "basic_encoding": "form",
        "audience_parameter": "resource",
        "audience_scope": "{audience}",
        "several_audiences": "no",
        "timeout": 10.0,
        "http2": False,
        "default_lifetime": None,
        "token_types": frozenset({"bearer"}),
        "ca_file": None,
        "system_authorities": False,
        "allow_http": False,
        "assertion_audience": None,
        "allow_bound_tokens": False,
        "audience_check": "warn",
    }
    return EndpointOptions(token_url=token_url, **plain | changes)


def request_context(
    issuer: str, scopes: tuple[str, ...], started_at: float, now_unix: float, **changes: Any
) -> RequestContext:
    """A request without an audience that differs from a plain one in these."""
    plain: dict[str, Any] = {
        "default_lifetime": None,
        "allow_bound_tokens": False,
        "audiences": (),
        "audience_check": "warn",
        "took": 0.0,
    }
    return RequestContext(issuer, scopes, started_at, now_unix, **plain | changes)
