"""How tokens are minted: an OAuth domain's token endpoint behind the `Issuer` port."""

from mintonce_server.issuer.authentication import METHODS
from mintonce_server.issuer.endpoint import TokenEndpoint
from mintonce_server.issuer.options import JSON, ClientCredentials, EndpointOptions, check_token_url

__all__ = ["JSON", "METHODS", "ClientCredentials", "EndpointOptions", "TokenEndpoint", "check_token_url"]
