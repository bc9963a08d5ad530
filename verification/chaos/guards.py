"""Who the callers of a fault run are, what they may have, and the second issuer, whose TLS can be broken."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mintonce_server.auth.api_keys import new_api_key
from support.surroundings import CLIENT_ID, CLIENT_SECRET

BROKEN: Final = "broken"
"""Another client, of an issuer whose TLS can be broken."""
FLEET, NARROW = "fleet", "narrow"
"""Callers: one that may have tokens with the scope `read` too, one that may have only tokens without scopes."""
READ: Final = "read"
SCOPES: Final[Mapping[str, frozenset[str]]] = {FLEET: frozenset({READ}), NARROW: frozenset()}
POLICY: Final = """\
[[rules]]
name = "fleet"
callers = ["key:fleet"]
clients = ["*"]
audiences = ["*"]
scopes = ["", "read"]
may = ["get", "watch", "reject", "admin"]

[[rules]]
name = "narrow"
callers = ["key:narrow"]
clients = ["*"]
audiences = ["*"]
scopes = [""]
"""
OF_THE_BROKEN: Final = b'{"access_token":"of-the-broken-one","token_type":"Bearer","expires_in":1}'


@dataclass(frozen=True, slots=True)
class Guards:
    """Files that say who the callers are and what they may have. `keys`: of each caller, its API key."""

    keys: Mapping[str, Path]
    known: Path
    policy: Path
    ca: Path

    @classmethod
    def made_in(cls, directory: Path, ca: Path) -> "Guards":
        """`ca`: of the issuer whose TLS can be broken."""
        made = {caller: new_api_key(caller) for caller in SCOPES}
        keys = {caller: _written(directory / f"{caller}.key", key.reveal()) for caller, (key, _) in made.items()}
        lines = "\n".join(["[keys]", *(line for _, line in made.values())])
        known, policy = _written(directory / "keys.toml", lines), _written(directory / "policy.toml", POLICY)
        return cls(keys, known, policy, ca)

    def settings(self, broken_url: str) -> dict[str, str]:
        """Of each replica."""
        return {
            "API_KEYS_FILE": str(self.known),
            "POLICY_FILE": str(self.policy),
            "ISSUERS__BROKEN__TOKEN_URL": broken_url,
            "ISSUERS__BROKEN__CA_FILE": str(self.ca),
            "CLIENTS__BROKEN__ISSUER": "broken",
            "CLIENTS__BROKEN__CLIENT_ID": CLIENT_ID,
            "CLIENTS__BROKEN__CLIENT_SECRET": CLIENT_SECRET,
        }


def _written(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path
