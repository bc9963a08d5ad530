"""What mints need from files: credentials of clients, and each issuer's authorities, proxy and headers. Reloaded."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mintonce_server.common.files import require_not_writable, require_private
from mintonce_server.common.oauth import HMAC_ALGORITHMS
from mintonce_server.common.trust import trust
from mintonce_server.config import (
    ENVIRONMENT,
    ClientSettings,
    IssuerSettings,
    is_header_value,
    proxy_url,
    proxy_variables,
)
from mintonce_server.core.secret import Secret
from mintonce_server.issuer.certificate import ClientCertificate, load_client_certificate
from mintonce_server.issuer.options import ClientCredentials, EndpointSources
from mintonce_server.issuer.signing import SigningKey, load_signing_key
from mintonce_server.reload.access import AccessFiles, secret_of
from mintonce_server.reload.files import AccessCheck, FileValue, UnusableFile


def issuer_sources(name: str, issuer: IssuerSettings, files: AccessFiles) -> EndpointSources:
    """What of an issuer's settings comes from files or the environment. Raises MintonceError."""
    return EndpointSources(
        authorities=_authorities(name, issuer, files),
        proxy=_proxy(name, issuer, files),
        headers=_headers(name, issuer, files),
    )


def _authorities(name: str, issuer: IssuerSettings, files: AccessFiles) -> Callable[[], bytes] | None:
    """The issuer's CA bundle, or None for the system's. Raises MintonceError."""
    if (path := issuer.ca_file) is None:
        return None

    def load(content: Sequence[bytes]) -> bytes:
        try:
            trust(content[0])
        except ValueError as error:
            remedy = "Write the certificates of the authorities as PEM (-----BEGIN CERTIFICATE-----)."
            raise UnusableFile(f"{path}: {error}", remedy=remedy) from error
        return content[0]

    return files.add(f"ca_file of {name}", [(path, require_not_writable)], load)


def _proxy(name: str, issuer: IssuerSettings, files: AccessFiles) -> Callable[[str], Secret | None]:
    if issuer.proxy == ENVIRONMENT:
        return _environment_proxy(issuer.token_url or issuer.issuer or "")
    if issuer.proxy is not None:
        fixed = Secret(issuer.proxy)
        return lambda _: fixed
    if (path := issuer.proxy_file) is None:
        return lambda _: None

    def load(content: Sequence[bytes]) -> Secret:
        secret = secret_of(content[0], path)
        if not _is_proxy(secret.reveal()):
            remedy = "Write one line: http://USER:PASSWORD@HOST:PORT, or with https, socks5 or socks5h."
            raise UnusableFile(f"{path} is not the URL of a proxy", remedy=remedy)
        return secret

    value = files.add(f"proxy of {name}", [(path, require_private)], load)
    return lambda _: value()


def _environment_proxy(address: str) -> Callable[[str], Secret | None]:
    proxies = proxy_variables()

    def proxy_for(url: str) -> Secret | None:
        found = proxies.proxy_for(url)
        if found is None:
            return None
        if not _is_proxy(found):
            raise UnusableFile(
                "the variable of the environment that names the proxy does not hold the URL of one",
                remedy="Correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY: http://HOST:PORT, or with https, socks5 or "
                "socks5h; encode / # and @ in a password.",
            )
        return Secret(found)

    proxy_for(address)  # at the start, and not at the first mint
    return proxy_for


def _is_proxy(url: str) -> bool:
    try:
        proxy_url(url)
    except ValueError:
        return False
    return url != ENVIRONMENT


def _headers(name: str, issuer: IssuerSettings, files: AccessFiles) -> Callable[[], Mapping[str, Secret]]:
    fixed = {header: Secret(text) for header, text in issuer.headers.items()}

    def source(header: str, path: Path) -> FileValue[Secret]:
        def load(content: Sequence[bytes]) -> Secret:
            secret = secret_of(content[0], path)
            if not is_header_value(secret.reveal()):
                remedy = "Write visible ASCII characters, and no line break."
                raise UnusableFile(f"{path} cannot be the value of a header", remedy=remedy)
            return secret

        return files.add(f"header {header} of {name}", [(path, require_private)], load)

    from_files = {header: source(header, path) for header, path in issuer.header_files.items()}
    return lambda: fixed | {header: value() for header, value in from_files.items()}


def client_credentials(name: str, client: ClientSettings, files: AccessFiles) -> ClientCredentials:
    """How the client authenticates at its issuer. Raises MintonceError if a file cannot be used."""
    return ClientCredentials(
        client.client_id,
        extra=client.extra,
        client_secrets=_secrets(name, client, files),
        signing_key=_signing_key(name, client, files),
        certificate=_certificate(name, client, files),
        default_scopes=client.default_scopes,
        hmac_algorithm=client.signing_algorithm or HMAC_ALGORITHMS[0],
    )


def _secrets(name: str, client: ClientSettings, files: AccessFiles) -> Callable[[], Sequence[Secret]] | None:
    if (paths := client.client_secret_files) is not None:
        first = files.secret(f"secret of {name}", paths[0])
        others = [files.secret(f"second secret of {name}", path, may_be_absent=True) for path in paths[1:]]
        return lambda: [secret for source in (first, *others) if (secret := source()) is not None]
    fixed = client.client_secret
    return (lambda: [fixed]) if fixed is not None else None


def _signing_key(name: str, client: ClientSettings, files: AccessFiles) -> Callable[[], SigningKey] | None:
    if (path := client.signing_key_file) is None:
        return None
    paths: list[tuple[Path, AccessCheck]] = [(path, require_private)]
    if client.signing_certificate_file is not None:
        paths.append((client.signing_certificate_file, require_not_writable))

    def load(content: Sequence[bytes]) -> SigningKey:
        try:
            return load_signing_key(content[0], client.signing_algorithm, client.signing_key_id, *content[1:])
        except ValueError as error:
            remedy = "Write the key as PEM or JWK, without a password; leave signing_algorithm out, or let it match."
            raise UnusableFile(f"{path}: {error}", remedy=remedy) from error

    return files.add(f"signing key of {name}", paths, load, files.credentials_changed)


def _certificate(name: str, client: ClientSettings, files: AccessFiles) -> Callable[[], ClientCertificate] | None:
    if client.certificate_file is None or client.key_file is None:
        return None
    path = client.certificate_file
    pair = [(path, require_not_writable), (client.key_file, require_private)]

    def load(content: Sequence[bytes]) -> ClientCertificate:
        try:
            return load_client_certificate(content[0], content[1])
        except ValueError as error:
            remedy = "Replace both with a matching certificate and key."
            raise UnusableFile(f"{path}: {error}", remedy=remedy) from error

    return files.add(f"certificate of {name}", pair, load, files.credentials_changed)
