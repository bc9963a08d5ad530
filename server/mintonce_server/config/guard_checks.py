"""What must be true of the settings that keep others out. Decides, and says; of files it sees who may read them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from mintonce_server.common.urls import hosts_of, read_address, split_hosts_url
from mintonce_server.config.faults import Fault, SettingPath
from mintonce_server.config.files import FileFault, read_regular, refuse_if_open, refuse_if_writable
from mintonce_server.config.findings import Findings
from mintonce_server.config.models import ClientSettings, JwtIssuerSettings, Settings
from mintonce_server.config.redis_tls import file_faults
from mintonce_server.config.redis_url import is_encrypted
from mintonce_server.config.types import is_loopback, listens_beyond_loopback

_IDENTITIES: Final = "tls.client_ca_file, [jwt_issuers.NAME] or api_keys_file"

_SECRET_FILES: Final = ("client_secret_file", "other_client_secret_file", "signing_key_file", "key_file")


def check_guards(settings: Settings, findings: Findings) -> Iterator[Fault]:
    """All faults of settings that are valid one by one, less those of what is known to be faulty."""
    yield from _check_listeners(settings, findings)
    yield from _check_callers(settings, findings)
    yield from _check_redis(settings, findings)
    yield from _check_store(settings, findings)
    for name, jwt_issuer in settings.jwt_issuers.items():
        yield from _check_jwt_issuer(name, jwt_issuer, findings)
    for name, client in settings.clients.items():
        issuer = settings.issuers.get(client.issuer)
        yield from _check_client(name, client, issuer.auth if issuer else "client_secret_post", findings)
    yield from _check_files(settings, findings)


def identities(settings: Settings) -> bool:
    """Whether callers prove who they are."""
    return bool((settings.tls and settings.tls.client_ca_file) or settings.jwt_issuers or settings.api_keys_file)


def _check_listeners(settings: Settings, findings: Findings) -> Iterator[Fault]:
    if listens_beyond_loopback(settings.listen) and not settings.insecure_listen:
        if settings.tls is None and not _is_spoiled(findings, "tls"):
            yield Fault(
                findings.where(("listen",)),
                "tokens would travel in the clear beyond this machine",
                "Set [tls] with certificate_file and key_file; or listen on 127.0.0.1 or unix:/PATH; or, where only"
                " callers reach it, set insecure_listen = true (MINTONCE_INSECURE_LISTEN=true).",
            )
        elif settings.tls is not None and not identities(settings):
            yield Fault(
                findings.where(("listen",)),
                "anybody who reaches this address would get tokens, since callers prove no identity",
                f"Set {_IDENTITIES}; or, where only callers reach it, set insecure_listen = true"
                " (MINTONCE_INSECURE_LISTEN=true).",
            )
    if settings.bearer_listen is None:
        return
    in_clear = settings.tls is None and not _is_spoiled(findings, "tls")
    if in_clear and not settings.bearer_listen.startswith("unix:"):
        yield Fault(findings.where(("bearer_listen",)), "has no TLS", "Set [tls] with certificate_file and key_file.")
    if not settings.jwt_issuers and not settings.api_keys_file:
        yield Fault(
            findings.where(("bearer_listen",)),
            "no caller could prove an identity there",
            "Set [jwt_issuers.NAME] or api_keys_file.",
        )


def _is_spoiled(findings: Findings, *path: str) -> bool:
    """Whether something in this table is known to be faulty."""
    return any(spoiled[: len(path)] == path for spoiled in findings.spoiled)


def _check_callers(settings: Settings, findings: Findings) -> Iterator[Fault]:
    if identities(settings) and settings.policy_file is None:
        yield Fault(
            findings.where(("policy_file",)),
            "is missing: callers prove who they are, and nothing says what they may have",
            "Write a policy file, as docs/security/policy.md shows.",
        )
    if settings.tls and settings.tls.client_ca_file and not settings.tls.trust_domains:
        yield Fault(
            findings.where(("tls", "trust_domains")),
            "is missing: callers' certificates would name nobody",
            "Name the SPIFFE trust domain of the certificates' URI, such as prod.example.com.",
        )


def _check_redis(settings: Settings, findings: Findings) -> Iterator[Fault]:
    url = settings.redis.url.reveal()
    for what, remedy in file_faults(url):
        yield Fault(findings.where(("redis", "url")), what, remedy)
    if _is_far(url) and not is_encrypted(url) and not settings.insecure_redis:
        yield Fault(
            findings.where(("redis", "url")),
            "is in clear beyond this machine: whoever is in between reads the password, and can change and delete"
            " what is stored",
            "Use TLS (rediss://, rediss+sentinel://, rediss+cluster://) or a Unix socket; or, where only Mintonce and"
            " Redis share the network, set insecure_redis = true (MINTONCE_INSECURE_REDIS=true).",
        )


def _check_store(settings: Settings, findings: Findings) -> Iterator[Fault]:
    if settings.sealing_keys_file or settings.insecure_store:
        return
    listens = [settings.listen, *([settings.bearer_listen] if settings.bearer_listen else [])]
    if any(map(listens_beyond_loopback, listens)) or _is_far(settings.redis.url.reveal()):
        yield Fault(
            findings.where(("sealing_keys_file",)),
            "is missing: whoever reads the store, or a backup of it, would have the tokens",
            "Make one with `mintonced keygen` and name it; or, if it is meant, set insecure_store = true"
            " (MINTONCE_INSECURE_STORE=true).",
        )


def _is_far(redis_url: str) -> bool:
    parts = split_hosts_url(redis_url)
    if parts.scheme == "unix":
        return False
    hosts = [read_address(host, default_port=1)[0].lower() for host in hosts_of(parts) if host]
    return not all(map(is_loopback, hosts))


def _check_jwt_issuer(name: str, issuer: JwtIssuerSettings, findings: Findings) -> Iterator[Fault]:
    if issuer.jwks_file is None and issuer.jwks_url is None and not _is_spoiled(findings, "jwt_issuers", name):
        yield Fault(
            findings.where(("jwt_issuers", name, "jwks_file")), "is missing", "Name jwks_file, or jwks_url by https."
        )


def _check_client(name: str, client: ClientSettings, auth: str, findings: Findings) -> Iterator[Fault]:
    """What its way to prove itself needs."""
    needs = {"private_key_jwt": ("signing_key_file",), "tls_client_auth": ("certificate_file", "key_file")}
    for setting in needs.get(auth, ("client_secret",)):
        if getattr(client, setting) is None and ("clients", name, setting) not in findings.spoiled:
            meaning = ClientSettings.model_fields[setting].description
            yield Fault(findings.where(("clients", name, setting)), "is missing", f"Set it. {meaning}")


def _check_files(settings: Settings, findings: Findings) -> Iterator[Fault]:
    for path, file, guard in _files(settings):
        if path in findings.spoiled:
            continue
        try:
            read_regular(file)
            guard(file)
        except FileFault as error:
            yield error.at(findings.where(path))


def _files(settings: Settings) -> Iterator[tuple[SettingPath, Path, Callable[[Path], None]]]:
    """Each file that guards something, with what must be true of it."""
    for setting in ("api_keys_file", "policy_file"):
        if file := getattr(settings, setting):
            yield (setting,), file, refuse_if_writable
    if settings.sealing_keys_file:
        yield ("sealing_keys_file",), settings.sealing_keys_file, refuse_if_open
    if tls := settings.tls:
        yield ("tls", "certificate_file"), tls.certificate_file, refuse_if_writable
        yield ("tls", "key_file"), tls.key_file, refuse_if_open
        if tls.client_ca_file:
            yield ("tls", "client_ca_file"), tls.client_ca_file, refuse_if_writable
    for name, issuer in settings.jwt_issuers.items():
        if issuer.jwks_file:
            yield ("jwt_issuers", name, "jwks_file"), issuer.jwks_file, refuse_if_writable
    for name, client in settings.clients.items():
        for setting in _SECRET_FILES:
            if file := getattr(client, setting):
                yield ("clients", name, setting), file, refuse_if_open
        if client.certificate_file:
            yield ("clients", name, "certificate_file"), client.certificate_file, refuse_if_writable
