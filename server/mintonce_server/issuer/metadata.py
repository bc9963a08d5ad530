"""An issuer's metadata (RFC 8414; OpenID Connect Discovery 1.0): where it is, and what it says. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlsplit

from mintonce_server.common.strict_json import NotAnObject, parse_object
from mintonce_server.core.errors import IssuerError, IssuerMalformed
from mintonce_server.core.text import printable
from mintonce_server.issuer.options import EndpointOptions, check_endpoint_url

OAUTH: Final = "/.well-known/oauth-authorization-server"
OPENID: Final = "/.well-known/openid-configuration"

MAX_LISTED: Final = 64
"""Names of one list that are read. Real lists have about a dozen."""

MAX_SHOWN: Final = 200
"""Characters of the document that a message may repeat. It is public."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known about a token endpoint.

    Attributes:
        token_url: the token endpoint.
        certificate_token_url: that for clients with a certificate (RFC 8705, section 5).
        methods: accepted methods of client authentication; empty if the issuer lists none.
        algorithms: accepted algorithms of client assertions; empty if the issuer lists none.
    """

    token_url: str
    certificate_token_url: str
    methods: frozenset[str] = frozenset()
    algorithms: frozenset[str] = frozenset()

    @classmethod
    def of_url(cls, token_url: str) -> "Metadata":
        """Used when a setting names the token endpoint: nothing else is known."""
        return cls(token_url, token_url)


class NotMetadata(IssuerMalformed):
    """The document is no metadata at all."""


def metadata_urls(issuer: str) -> Sequence[str]:
    """Where the metadata of an issuer may be, in the order to try.

    RFC 8414, section 3.1, puts the issuer's path behind the well-known one, OpenID Connect Discovery before it.
    """
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return list(dict.fromkeys((origin + OAUTH + path, origin + path + OPENID, origin + OPENID + path)))


def read_metadata(body: bytes, options: EndpointOptions) -> Metadata:
    """The metadata in a document. Raises IssuerMalformed, and NotMetadata if it is something else.

    Nothing in it widens what the settings allow: its `issuer` must be the setting's, to the letter (RFC 8414, section
    3.3), and plain http:// is allowed only where the settings allow it.
    """
    try:
        fields = parse_object(body)
    except NotAnObject:
        fields = None
    if fields is None:
        raise NotMetadata(
            f"the metadata of {options.host} is not a JSON object",
            remedy="Check that `issuer` is the issuer's identifier, not a web page.",
        )
    _check_issuer(fields.get("issuer"), options)
    token_url = _url(fields.get("token_endpoint"), options)
    aliases = fields.get("mtls_endpoint_aliases")
    alias = cast("Mapping[str, object]", aliases).get("token_endpoint") if isinstance(aliases, dict) else None
    return Metadata(
        token_url,
        token_url if alias is None else _url(alias, options),
        _names(fields.get("token_endpoint_auth_methods_supported")),
        _names(fields.get("token_endpoint_auth_signing_alg_values_supported")),
    )


def _check_issuer(stated: object, options: EndpointOptions) -> None:
    if stated == options.issuer:
        return
    shown = f'"{printable(stated, MAX_SHOWN)}"' if isinstance(stated, str) else "none"
    raise _unusable(
        options,
        f"is of another issuer: it says {shown}",
        "Both must be equal to the letter (RFC 8414, section 3.3), a slash at the end included. If it is the right "
        "server, set `issuer` to what it says; or set token_url instead.",
    )


def _url(stated: object, options: EndpointOptions) -> str:
    if not isinstance(stated, str):
        raise _unusable(options, "names no token endpoint", "Set token_url to it instead of `issuer`.")
    try:
        check_endpoint_url(stated, options.allow_http, "its token_endpoint")
    except ValueError as error:
        fault = str(error)
    else:
        # Also with insecure_issuer: that is about an address in the settings, not about what a document says.
        if options.is_https and urlsplit(stated).scheme != "https":
            fault = "its token_endpoint is plain http://, though the issuer itself has TLS"
        else:
            return stated
    raise _unusable(
        options, f"cannot be used: {fault}", "Ask the issuer's operators to correct it, or set token_url instead."
    )


def _names(stated: object) -> frozenset[str]:
    listed = cast("list[object]", stated) if isinstance(stated, list) else []
    return frozenset(name for name in listed[:MAX_LISTED] if isinstance(name, str))


def _unusable(options: EndpointOptions, what: str, remedy: str) -> IssuerError:
    return IssuerMalformed(f"the metadata of {options.host} {what}", remedy=remedy)
