"""How each client proves itself to its issuer, and whom we trust to be that, from the files that the settings name."""

from collections.abc import Callable, Sequence

from mintonce_server.config import ClientSettings, IssuerSettings, refuse_if_open, refuse_if_writable
from mintonce_server.core.errors import MintonceError
from mintonce_server.core.secret import Secret
from mintonce_server.issuer.certificate import ClientCertificate, load_client_certificate
from mintonce_server.issuer.http import trust
from mintonce_server.issuer.options import ClientCredentials
from mintonce_server.issuer.signing import SigningKey, load_signing_key
from mintonce_server.reload.guarding import Guarding


class UnusableKey(MintonceError):
    """A client's key or certificate cannot be used. The text holds no byte of it."""


class UnusableAuthorities(MintonceError):
    """An issuer's `ca_file` cannot be used."""


def authorities_of(name: str, issuer: IssuerSettings, guarding: Guarding) -> Callable[[], bytes] | None:
    """Whom to trust instead of the usual authorities, as the file says now. Raises MintonceError."""
    if (path := issuer.ca_file) is None:
        return None

    def load(files: Sequence[bytes]) -> bytes:
        try:
            trust(files[0])
        except ValueError as error:
            remedy = "Write the certificates of the authorities as PEM (-----BEGIN CERTIFICATE-----)."
            raise UnusableAuthorities(f"{path}: {error}", remedy=remedy) from error
        return files[0]

    return guarding.hold(f"ca_file of {name}", [(path, refuse_if_writable)], load)


def credentials_of(name: str, client: ClientSettings, guarding: Guarding) -> ClientCredentials:
    """What stands in files follows them. Raises MintonceError when they cannot be used now."""
    return ClientCredentials(
        client.client_id,
        extra=client.extra,
        client_secrets=_secrets(name, client, guarding),
        signing_key=_signing_key(name, client, guarding),
        certificate=_certificate(name, client, guarding),
    )


def _secrets(name: str, client: ClientSettings, guarding: Guarding) -> Callable[[], Sequence[Secret]] | None:
    sources: list[Callable[[], Secret]] = []
    if client.client_secret_file:
        sources.append(guarding.secret(f"secret of {name}", client.client_secret_file))
    elif (fixed := client.client_secret) is not None:
        sources.append(lambda: fixed)
    if client.other_client_secret_file:
        sources.append(guarding.secret(f"other secret of {name}", client.other_client_secret_file))
    return (lambda: [source() for source in sources]) if sources else None


def _signing_key(name: str, client: ClientSettings, guarding: Guarding) -> Callable[[], SigningKey] | None:
    if (path := client.signing_key_file) is None:
        return None

    def load(files: Sequence[bytes]) -> SigningKey:
        try:
            return load_signing_key(files[0], client.signing_algorithm, client.signing_key_id)
        except ValueError as error:
            raise UnusableKey(f"{path}: {error}", remedy="Write the key as PEM or JWK, without a password.") from error

    return guarding.hold(f"signing key of {name}", [(path, refuse_if_open)], load, guarding.on_credentials)


def _certificate(name: str, client: ClientSettings, guarding: Guarding) -> Callable[[], ClientCertificate] | None:
    if client.certificate_file is None or client.key_file is None:
        return None
    path = client.certificate_file
    files = [(path, refuse_if_writable), (client.key_file, refuse_if_open)]

    def load(files: Sequence[bytes]) -> ClientCertificate:
        try:
            return load_client_certificate(files[0], files[1])
        except ValueError as error:
            raise UnusableKey(f"{path}: {error}", remedy="Write both anew, from one issuance.") from error

    return guarding.hold(f"certificate of {name}", files, load, guarding.on_credentials)
