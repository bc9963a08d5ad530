"""What a server of another project is for the checks, and what it is given to start with."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Final, Literal

from mintonce_server.issuer import load_signing_key
from support.signing import PrivateKey, pem, private_key
from support.tls import Authority

AUDIENCE: Final = "https://api.example.com/"
SECOND_AUDIENCE: Final = "https://stock.example.com/"
SCOPE: Final = "orders:read"
ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA")
"""What Mintonce signs with."""

CLIENT_ID: Final = "mintonce"
"""The id of the client with a usual secret; others are `mintonce-odd`, `mintonce-ES256` and so on."""


class NotHere(Exception):
    """The server cannot be had on this machine. The text says why."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """What a server is started with: a folder of its own, the URL that it is reached by, and credentials to register.

    Files in the folder, named by the TOML: secret, secret-odd, secret-wrong, secret-next; key-ALGORITHM.pem;
    client.pem, client.key and ca.pem for TLS.

    Attributes:
        url: the counting proxy before the server, without a path. The server must take it for its own.
        odd: a secret with characters that HTTP Basic needs encoding for.
    """

    folder: Path
    url: str
    authority: Authority
    odd: str = field(repr=False)
    plain: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    keys: Mapping[str, PrivateKey] = field(
        default_factory=lambda: {name: private_key(name) for name in ALGORITHMS}, repr=False
    )

    def write_credentials(self) -> None:
        """Write the files that the settings name. Only this user can read them."""
        texts = {"secret": self.plain, "secret-odd": self.odd}
        texts |= {name: secrets.token_urlsafe(32) for name in ("secret-wrong", "secret-next")}
        for name, text in texts.items():
            self.write(name, text)
        for name, key in self.keys.items():
            self.write(f"key-{name}.pem", pem(key).decode())
        for file in self.authority.client():
            file.chmod(0o600)

    def write(self, name: str, text: str) -> Path:
        """A file in the folder that only this user can read."""
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(text)
        return file


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. `port`: of its plain HTTP on loopback. `tls_url`: where it takes client certificates."""

    version: str
    port: int
    tls_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One server of another project.

    Attributes:
        toml: its settings: `[issuers.*]` and `[clients.*]`. `$url` and `$tls_url` are replaced. Clients are named by
            what is tried with them: post, basic, odd, later, wrong, second, scoped, several, asking,
            jwt-ALGORITHM, certified.
        metadata: paths at which metadata may be.
        odd: characters of a secret that HTTP Basic needs encoding for, as far as the server allows them.
        unknown_audience: what it does with an audience that it does not know. If the profile sends none, the client
            `asking` sends it.
        unknown_scope: likewise. "dropped": the answer has no `scope`, which means that it was granted (RFC 6749, 5.1).
        several: what it does with two audiences that it knows. The client is named `several`.
        absent: by feature, why this server has it not.
        not_tried: by feature, why it is not tried here though the server has it.
    """

    name: str
    start: Callable[[Workbench], AbstractAsyncContextManager[Running]]
    toml: str
    audience: str = AUDIENCE
    scope: str = SCOPE
    metadata: Sequence[str] = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
    odd: str = "a:b%20c+d e&f=é/"
    unknown_audience: Literal["refused", "ignored", "granted"] = "refused"
    unknown_scope: Literal["refused", "dropped"] = "refused"
    several: Literal["granted", "refused"] = "refused"
    absent: Mapping[str, str] = field(default_factory=dict[str, str])
    not_tried: Mapping[str, str] = field(default_factory=dict[str, str])

    def settings(self, url: str, tls_url: str) -> str:
        """Its settings, with the addresses filled in."""
        return Template(self.toml).substitute(url=url, tls_url=tls_url)


def secret_clients(extra: str = "") -> str:
    """The clients that every server with secrets has, as TOML: issuer `post` for those by body, `basic` for others.

    `extra`: a further line for each.
    """
    files = {
        "post": ["secret"],
        "basic": ["secret"],
        "odd": ["secret-odd"],
        "later": ["secret"],
        "wrong": ["secret-wrong"],
        "second": ["secret-next", "secret"],
    }
    usual = "".join(secret_client(name, names) + extra for name, names in files.items())
    return usual + secret_client("scoped") + f'default_scopes = ["{SCOPE}"]\n'


def secret_client(name: str, files: Sequence[str] = ("secret",)) -> str:
    """A client with that secret, or those, as TOML, whose issuer is `post`, or has the name of the client."""
    by_body = name in ("post", "later", "wrong", "second", "scoped")
    issuer = "post" if by_body else "basic" if name == "odd" else name
    client_id = CLIENT_ID if by_body else f"{CLIENT_ID}-{'odd' if name == 'odd' else 'basic'}"
    listed = ", ".join(f'"{file}"' for file in files)
    return f'[clients.{name}]\nissuer = "{issuer}"\nclient_id = "{client_id}"\nclient_secret_files = [{listed}]\n'


def signing_clients(algorithms: Sequence[str] = ALGORITHMS, key_id: str = "", extra: str = "") -> str:
    """A client for each algorithm, as TOML. `extra`: a further line for each."""
    return "".join(
        f'[clients.jwt-{name}]\nissuer = "signed"\nclient_id = "{CLIENT_ID}-{name}"\n'
        f'signing_key_file = "key-{name}.pem"\nsigning_algorithm = "{name}"\n'
        + (f'signing_key_id = "{key_id}"\n' if key_id else "")
        + extra
        for name in algorithms
    )


def thumbprint(key: PrivateKey) -> str:
    """The `kid` that is sent with `signing_key_id = "thumbprint"` (RFC 7638)."""
    return load_signing_key(pem(key)).thumbprint()
