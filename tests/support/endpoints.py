"""The client that issuer tests mint for."""

from collections.abc import Callable
from typing import Final

from mintonce_server.core.ports import Issuer

CLIENT_ID: Final = "the-client"
SECRET: Final = "s3cr3t-of-the-client"

IssuerAt = Callable[..., Issuer]
"""(token_url, credentials=that client's, **options of EndpointOptions) → the issuer for the client."""
