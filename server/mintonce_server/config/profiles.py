"""What the settings of an issuer are by default, for each kind of server that `provider` can name.

A profile only sets defaults: each is printed by `mintonced settings --effective`, and each can be overridden.
docs/operating/issuers/ has a page for each, which says where its defaults come from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

Provider = Literal[
    "auth0", "keycloak", "hydra", "spring", "entra", "okta", "cognito",
    "oidc-provider", "oauth2-server", "authlib", "glewlwyd",
]  # fmt: skip
"""The values of an issuer's `provider`."""

PROVIDERS: Final[tuple[str, ...]] = get_args(Provider)

PLACE: Final = "{domain}"
"""In a profile's text: the value of `domain`, without a slash at its end."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Defaults for one kind of server.

    Attributes:
        token_url: made of `domain`; "" if a domain alone does not lead to the token endpoint.
        address: what to write instead of `domain`, for people, if it does not.
        settings: defaults of other settings. PLACE in a text is replaced, or drops the setting if there is no domain.
    """

    token_url: str = ""
    address: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


_PROFILES: Final[Mapping[Provider, Profile]] = {
    "auth0": Profile(
        token_url="https://{domain}/oauth/token",  # noqa: S106 - a URL
        settings={
            "request": "json",
            "auth": "client_secret_post",
            "audience_parameter": "audience",
            "assertion_audience": "https://{domain}/",
        },
    ),
    "keycloak": Profile(
        address='issuer = "https://HOST/realms/REALM"',
        settings={"auth": "client_secret_basic", "audience_parameter": "none", "assertion_audience": "issuer"},
    ),
    "hydra": Profile(
        token_url="https://{domain}/oauth2/token",  # noqa: S106 - a URL
        settings={"auth": "client_secret_basic", "audience_parameter": "audience", "several_audiences": "space"},
    ),
    "spring": Profile(
        token_url="https://{domain}/oauth2/token",  # noqa: S106 - a URL
        settings={"auth": "client_secret_basic", "audience_parameter": "none", "audience_check": "off"},
    ),
    "entra": Profile(
        address='token_url = "https://login.microsoftonline.com/TENANT/oauth2/v2.0/token"',
        settings={
            "auth": "client_secret_post",
            "audience_parameter": "scope",
            "audience_scope": "{audience}/.default",
            # `aud` of a v2.0 token is the API's client id, and not the Application ID URI that was asked for.
            "audience_check": "off",
        },
    ),
    "okta": Profile(
        token_url="https://{domain}/oauth2/default/v1/token",  # noqa: S106 - a URL
        settings={"auth": "client_secret_basic", "audience_parameter": "none"},
    ),
    "cognito": Profile(
        token_url="https://{domain}/oauth2/token",  # noqa: S106 - a URL
        settings={"auth": "client_secret_basic", "audience_parameter": "none", "audience_check": "off"},
    ),
    "oidc-provider": Profile(
        token_url="https://{domain}/token",  # noqa: S106 - a URL
        settings={
            "auth": "client_secret_basic",
            "audience_parameter": "resource",
            "assertion_audience": "issuer",
        },
    ),
    "oauth2-server": Profile(
        address='token_url = "https://HOST/…"',
        settings={
            "auth": "client_secret_basic",
            "basic_encoding": "none",
            "audience_parameter": "none",
            "audience_check": "off",
        },
    ),
    "authlib": Profile(
        address='token_url = "https://HOST/oauth/token"',
        settings={"auth": "client_secret_basic", "audience_parameter": "none", "audience_check": "off"},
    ),
    "glewlwyd": Profile(
        token_url="https://{domain}/api/oidc/token",  # noqa: S106 - a URL
        settings={"auth": "client_secret_basic", "basic_encoding": "none"},
    ),
}
PROFILES: Final[Mapping[str, Profile]] = dict(_PROFILES.items())
"""By the value of `provider`."""

UNNAMED: Final = Profile(token_url="https://{domain}/oauth/token", settings={"request": "json"})  # noqa: S106 - a URL
"""For a `domain` without a `provider`: the contract that the product was made for."""


def defaults(profile: Profile, given: Mapping[str, Any]) -> dict[str, Any]:
    """The profile's settings that are not given. A default that cannot be made of what is given is left out."""
    found = {name: value for name, value in profile.settings.items() if name not in given}
    if "issuer" not in given and found.get("assertion_audience") == "issuer":
        del found["assertion_audience"]
    domain = given.get("domain")
    host = host_of(domain) if isinstance(domain, str) else ""
    for name, value in tuple(found.items()):
        if isinstance(value, str) and PLACE in value:
            if host:
                found[name] = value.replace(PLACE, host)
            else:
                del found[name]
    return found


def token_url_of(profile: Profile, domain: str) -> str | None:
    """The token URL that a `domain` stands for. None if it cannot be said.

    A domain is a host, with a port if need be. It may also be written as a URL; one with a path is the token endpoint.
    """
    scheme, separator, rest = domain.partition("://")
    if separator and rest.partition("/")[2]:
        return domain
    if not profile.token_url or (not separator and "/" in domain.rstrip("/")) or {*"?#"} & {*domain}:
        return None
    url = profile.token_url.replace(PLACE, host_of(domain))
    return url.replace("https", scheme, 1) if separator else url


def host_of(domain: str) -> str:
    """Host and port of a domain that may be written as a URL."""
    return domain.rpartition("://")[2].partition("/")[0]
