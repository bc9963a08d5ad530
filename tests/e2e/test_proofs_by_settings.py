"""`mintonced serve` proves itself without a secret, by settings only, to a server of another project."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from mintonce import AsyncTokenClient
from mintonce_dev.valkey import EmbeddedValkey
from support.oidc_provider import AUDIENCE, OidcProvider
from support.replicas import replica
from support.signing import jwk, pem, private_key
from support.surroundings import claims
from support.tls import Authority


@pytest.mark.slow
async def test_signatures_and_certificates_need_no_secret(tmp_path: Path, valkey: EmbeddedValkey) -> None:
    """private_key_jwt (RFC 7523) for a client, tls_client_auth (RFC 8705) for another; a restart mints nothing."""
    authority, key = Authority(tmp_path), private_key("ES256")
    server_certificate, server_key = authority.server_files()
    clients: list[Mapping[str, object]] = [
        {
            "client_id": "signs",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "jwks": {"keys": [jwk(key) | {"kid": "the-key"}]},
        },
        {
            "client_id": "certified",
            "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_san_dns": "mintonce.example",
        },
    ]
    seen: list[list[tuple[str, str]]] = []
    files = {"cert": str(server_certificate), "key": str(server_key), "ca": str(authority.ca)}
    with OidcProvider(clients, files) as provider:
        settings = {"REDIS_URL": valkey.url, **settings_of(authority, pem(key), provider.token_url, tmp_path)}
        for _ in range(2):
            async with replica(tmp_path, settings) as server, AsyncTokenClient(server.target) as client:
                tokens = [await client.get(name, AUDIENCE) for name in ("orders", "billing")]
                seen.append([(claims(token.access_token)["client_id"], token.origin.name) for token in tokens])
    assert seen == [[("signs", "MINT"), ("certified", "MINT")], [("signs", "STORE"), ("certified", "STORE")]]


def settings_of(authority: Authority, signing_key: bytes, token_url: str, directory: Path) -> dict[str, str]:
    """Client orders signs, client billing shows a certificate."""
    key_file = directory / "signing.pem"
    key_file.touch(mode=0o600)
    key_file.write_bytes(signing_key)
    certificate, certificate_key = authority.client()
    certificate_key.chmod(0o600)
    return {
        "ISSUERS__SIGNED__TOKEN_URL": token_url,
        "ISSUERS__SIGNED__AUTH": "private_key_jwt",
        "ISSUERS__SIGNED__CA_FILE": str(authority.ca),
        "ISSUERS__CERTIFIED__TOKEN_URL": token_url,
        "ISSUERS__CERTIFIED__AUTH": "tls_client_auth",
        "ISSUERS__CERTIFIED__CA_FILE": str(authority.ca),
        "CLIENTS__ORDERS__ISSUER": "signed",
        "CLIENTS__ORDERS__CLIENT_ID": "signs",
        "CLIENTS__ORDERS__SIGNING_KEY_FILE": str(key_file),
        "CLIENTS__ORDERS__SIGNING_ALGORITHM": "ES256",
        "CLIENTS__BILLING__ISSUER": "certified",
        "CLIENTS__BILLING__CLIENT_ID": "certified",
        "CLIENTS__BILLING__CERTIFICATE_FILE": str(certificate),
        "CLIENTS__BILLING__KEY_FILE": str(certificate_key),
    }
