"""How tokens are minted: an OAuth domain's token endpoint behind the `Issuer` port."""

from mintonce_server.issuer.auth import METHODS
from mintonce_server.issuer.certificate import ClientCertificate, load_client_certificate
from mintonce_server.issuer.endpoint import TokenEndpoint
from mintonce_server.issuer.options import JSON, ClientCredentials, EndpointOptions, EndpointSources, check_endpoint_url
from mintonce_server.issuer.signing import SIGNING_ALGORITHMS, THUMBPRINT, SigningKey, load_signing_key

__all__ = [
    "JSON",
    "METHODS",
    "SIGNING_ALGORITHMS",
    "THUMBPRINT",
    "ClientCertificate",
    "ClientCredentials",
    "EndpointOptions",
    "EndpointSources",
    "SigningKey",
    "TokenEndpoint",
    "check_endpoint_url",
    "load_client_certificate",
    "load_signing_key",
]
