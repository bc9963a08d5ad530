"""Rules that concern several settings, or the files that they name. Pure except for looking at those files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mintonce_server.common.files import FileError, read_file, require_not_writable, require_private
from mintonce_server.common.network import (
    hosts_of,
    is_loopback,
    listens_beyond_loopback,
    read_address,
    split_hosts_url,
)
from mintonce_server.config.issuer_models import ClientSettings, IssuerSettings
from mintonce_server.config.issuer_types import ENVIRONMENT
from mintonce_server.config.issues import (
    BUDGET,
    Issues,
    SettingPath,
    ValidationIssue,
    did_you_mean,
    file_issue,
    table,
    tables,
    variable,
)
from mintonce_server.config.listener_checks import check_listeners
from mintonce_server.config.models import JwtIssuerSettings, ServerSettings, Settings
from mintonce_server.config.redis_url import is_encrypted, tls_file_errors

_SECRET_FILES: Final = ("signing_key_file", "key_file")


@dataclass(frozen=True, slots=True)
class Parts:
    """Sections that are valid by themselves, without their invalid settings, which have issues already."""

    server: ServerSettings | None
    issuers: dict[str, IssuerSettings]


def check_issuers(parts: Parts, values: dict[str, Any], issues: Issues) -> Iterator[ValidationIssue]:
    """Issues of issuers, and of the clients that name them. `values`: all that was found, valid or not."""
    if parts.server is not None:
        for name, issuer in parts.issuers.items():
            yield from _check_issuer(name, issuer, parts.server, issues)
    yield from _check_issuer_names(values, issues)
    for name, issuer in parts.issuers.items():
        if issuer.ca_file is not None:
            yield from _check_file(("issuers", name, "ca_file"), issuer.ca_file, None, issues)
        if issuer.proxy_file is not None and ("issuers", name, "proxy_file") not in issues.invalid:
            yield from _check_file(("issuers", name, "proxy_file"), issuer.proxy_file, require_private, issues)
        for header, file in issuer.header_files.items():
            yield from _check_file(("issuers", name, "header_files", header), file, require_private, issues)
        yield from _check_header_names(name, issuer, issues)


def check_access(settings: Settings, issues: Issues) -> Iterator[ValidationIssue]:
    """Issues of the settings that restrict access. `settings` may lack what is known to be invalid."""
    yield from check_listeners(settings, issues)
    yield from _check_tracing(settings, issues)
    yield from _check_callers(settings, issues)
    yield from _check_redis(settings, issues)
    yield from _check_sealing(settings, issues)
    for name, jwt_issuer in settings.jwt_issuers.items():
        yield from _check_jwt_issuer(name, jwt_issuer, issues)
    for name, client in settings.clients.items():
        issuer = settings.issuers.get(client.issuer)
        yield from _check_client(name, client, issuer.auth if issuer else "client_secret_post", issues)
        yield from _check_certificate(name, client, issuer, issues)
        yield from _check_audiences(name, client, settings, issues)
        yield from _check_budget(name, client, issues)
    for path, file, check in _files(settings):
        if path not in issues.invalid:
            yield from _check_file(path, file, check, issues)


def _check_header_names(name: str, issuer: IssuerSettings, issues: Issues) -> Iterator[ValidationIssue]:
    names = [header.lower() for header in (*issuer.headers, *issuer.header_files)]
    for header in sorted({header for header in names if names.count(header) > 1}):
        where = issues.where(("issuers", name, "headers", header))
        yield ValidationIssue(where, "is set more than once", "Set it once, in headers or in header_files.")


def _check_issuer(
    name: str, issuer: IssuerSettings, server: ServerSettings, issues: Issues
) -> Iterator[ValidationIssue]:
    path = ("issuers", name)
    setting = "token_url" if issuer.token_url else "issuer"
    url = urlsplit(issuer.token_url or issuer.issuer or "")
    if url.scheme == "http" and not server.insecure_issuer:
        if not is_loopback(url.hostname or ""):
            yield ValidationIssue(
                issues.where((*path, setting)),
                "is http:// to another machine: the client secret would be sent unencrypted",
                "Use https://; or, if this is intended, set insecure_issuer = true (MINTONCE_INSECURE_ISSUER=true).",
            )
        elif issuer.proxy_file or issuer.proxy not in (None, ENVIRONMENT):
            yield ValidationIssue(
                issues.where((*path, "proxy")),
                "would see the client secret, because the issuer is reached by http://",
                f"Remove the proxy, or use https:// in {setting}.",
            )
    if issuer.assertion_audience == "issuer" and issuer.issuer is None:
        yield ValidationIssue(
            issues.where((*path, "assertion_audience")),
            'is "issuer", and `issuer` is not set',
            "Set `issuer` instead of token_url; or write the audience itself.",
        )
    if issuer.system_authorities and issuer.ca_file is None:
        yield ValidationIssue(
            issues.where((*path, "system_authorities")),
            "has no effect without ca_file",
            "Remove it: the system's CAs are trusted.",
        )


def _check_issuer_names(values: dict[str, Any], issues: Issues) -> Iterator[ValidationIssue]:
    """Works on all that was found, so that an invalid issuer causes no second issue in its clients."""
    issuers = table(values, "issuers") or {}
    for path, client in tables(values):
        here = (*path, "issuer")
        wanted = client.get("issuer", "default")
        if path[0] != "clients" or not isinstance(wanted, str) or wanted in issuers or here in issues.invalid:
            continue
        remedy = "Set MINTONCE_OAUTH_DOMAIN, or write a table [issuers.NAME] with token_url."
        yield ValidationIssue(
            issues.where(here), "is not a configured issuer", did_you_mean(wanted, issuers) if issuers else remedy
        )


def _check_tracing(settings: Settings, issues: Issues) -> Iterator[ValidationIssue]:
    chosen = settings.tracing
    if chosen.endpoint is None:
        return
    url = urlsplit(chosen.endpoint)
    if url.scheme == "http" and chosen.headers_file and not is_loopback(url.hostname or ""):
        yield ValidationIssue(
            issues.where(("tracing", "endpoint")),
            "is http:// to another machine: the headers of headers_file would be sent unencrypted",
            "Use https://; or send to a collector on this machine, which adds the headers.",
        )
    if url.scheme == "http" and chosen.ca_file:
        yield ValidationIssue(
            issues.where(("tracing", "ca_file")), "has no effect with http://", "Use https://, or remove it."
        )


def _check_callers(settings: Settings, issues: Issues) -> Iterator[ValidationIssue]:
    if settings.authenticates_callers and settings.policy_file is None:
        yield ValidationIssue(
            issues.where(("policy_file",)),
            "is missing: callers are authenticated, but no policy says which tokens they may get",
            "Write a policy file as docs/security/policy.md describes.",
        )
    if settings.tls and settings.tls.client_ca_file and not settings.tls.trust_domains:
        yield ValidationIssue(
            issues.where(("tls", "trust_domains")),
            "is missing: without it no client certificate identifies a caller",
            "Set the SPIFFE trust domain of the certificates' URI, such as prod.example.com.",
        )


def _check_redis(settings: Settings, issues: Issues) -> Iterator[ValidationIssue]:
    url, where = settings.redis.url.reveal(), issues.where(("redis", "url"))
    for what, remedy in tls_file_errors(url):
        yield ValidationIssue(where, what, remedy)
    if _is_remote(url) and not is_encrypted(url) and not settings.insecure_redis:
        yield ValidationIssue(
            where,
            "is another machine without TLS: on the way, the password can be read and commands changed",
            "Use TLS (rediss://, rediss+sentinel://, rediss+cluster://) or a Unix socket; or, if only Mintonce and"
            " Redis share the network, set insecure_redis = true (MINTONCE_INSECURE_REDIS=true).",
        )


def _check_sealing(settings: Settings, issues: Issues) -> Iterator[ValidationIssue]:
    if settings.sealing_keys_file or settings.insecure_store:
        return
    if any(map(listens_beyond_loopback, settings.listens)) or _is_remote(settings.redis.url.reveal()):
        yield ValidationIssue(
            issues.where(("sealing_keys_file",)),
            "is missing: tokens would be readable in the store and in its backups",
            "Make one with `mintonced keygen` and set it; or, if this is intended, set insecure_store = true"
            " (MINTONCE_INSECURE_STORE=true).",
        )


def _is_remote(redis_url: str) -> bool:
    parts = split_hosts_url(redis_url)
    if parts.scheme == "unix":
        return False
    hosts = [read_address(host, default_port=1)[0].lower() for host in hosts_of(parts) if host]
    return not all(map(is_loopback, hosts))


def _check_jwt_issuer(name: str, issuer: JwtIssuerSettings, issues: Issues) -> Iterator[ValidationIssue]:
    if issuer.jwks_file is None and issuer.jwks_url is None and not issues.has_any_in("jwt_issuers", name):
        where = issues.where(("jwt_issuers", name, "jwks_file"))
        yield ValidationIssue(where, "is missing", "Set jwks_file, or jwks_url with https://.")
    if issuer.jwks_bearer_file is not None and issuer.jwks_url is None:
        where = issues.where(("jwt_issuers", name, "jwks_bearer_file"))
        yield ValidationIssue(where, "has no effect without jwks_url", "Remove it, or set jwks_url.")


def _check_client(name: str, client: ClientSettings, auth: str, issues: Issues) -> Iterator[ValidationIssue]:
    """Whether the client has the credentials that the issuer's `auth` needs."""
    needs = {"private_key_jwt": ("signing_key_file",), "tls_client_auth": ("certificate_file", "key_file")}
    known = {path[2] for path in issues.invalid if path[:2] == ("clients", name) and len(path) == 3}
    if "client_secret_files" in known:
        known.add("client_secret")
    for setting in needs.get(auth, ("client_secret",)):
        if getattr(client, setting) is None and setting not in known:
            meaning = ClientSettings.model_fields[setting].description
            where = issues.where(("clients", name, setting))
            yield ValidationIssue(where, "is missing", f"Set it. {meaning}")
    if client.signing_algorithm is not None and ("HS" in client.signing_algorithm) != (auth == "client_secret_jwt"):
        fitting = "HS256, HS384 or HS512" if auth == "client_secret_jwt" else "an algorithm of the signing key"
        where = issues.where(("clients", name, "signing_algorithm"))
        yield ValidationIssue(where, f"does not fit auth = {auth}", f"Use {fitting}, or leave it out.")


def _check_certificate(
    name: str, client: ClientSettings, issuer: IssuerSettings | None, issues: Issues
) -> Iterator[ValidationIssue]:
    """A certificate besides another method needs its key, and TLS."""
    auth = issuer.auth if issuer else ""
    address = (issuer.token_url or issuer.issuer or "") if issuer else ""
    if client.certificate_file and urlsplit(address).scheme == "http":
        yield ValidationIssue(
            issues.where(("clients", name, "certificate_file")),
            "cannot be presented: the issuer is reached by http://",
            "Use https:// for the issuer, or remove the certificate.",
        )
    pair = {"certificate_file": client.certificate_file, "key_file": client.key_file}
    missing = [setting for setting, file in pair.items() if file is None]
    if auth == "tls_client_auth" or len(missing) != 1 or ("clients", name, missing[0]) in issues.invalid:
        return
    other = next(setting for setting in pair if setting not in missing)
    yield ValidationIssue(
        issues.where(("clients", name, missing[0])), "is missing", f"Set it: {other} is set, and needs it."
    )


def _check_budget(name: str, client: ClientSettings, issues: Issues) -> Iterator[ValidationIssue]:
    if (budget := client.budget) is None:
        return
    path = ("clients", name, BUDGET)
    limits = (budget.tokens_per_month, budget.tokens_per_day)
    if budget.when_used_up == "needed_only" and limits == (None, None):
        yield ValidationIssue(
            issues.where((*path, "when_used_up")),
            "has no effect without a limit",
            "Set tokens_per_month or tokens_per_day.",
        )
    if (budget.price_per_token is None) != (budget.currency is None):
        missing = "currency" if budget.currency is None else "price_per_token"
        yield ValidationIssue(
            issues.where((*path, missing)), "is missing", "Set both price_per_token and currency, or neither."
        )


def _check_audiences(
    name: str, client: ClientSettings, settings: Settings, issues: Issues
) -> Iterator[ValidationIssue]:
    """Any audience is the only open default: a server for other machines must ask for it."""
    path = ("clients", name, "audiences")
    chosen = client.default_audience
    if chosen is not None and "*" not in client.audiences and chosen not in client.audiences:
        yield ValidationIssue(
            issues.where(("clients", name, "default_audience")),
            "is not one of the client's audiences",
            "Add it to `audiences`, or choose one of them.",
        )
    if "audiences" in client.model_fields_set or path in issues.invalid:
        return
    if any(map(listens_beyond_loopback, settings.listens)):
        yield ValidationIssue(
            issues.where(path),
            "is missing: other machines can reach this server, and the tokens could be for any audience",
            f'List the audiences; or, if any is intended, set audiences = ["*"] ({variable(path)}=*).',
        )


def _check_file(
    path: SettingPath, file: Path, check: Callable[[Path], None] | None, issues: Issues
) -> Iterator[ValidationIssue]:
    try:
        read_file(file)
        if check is not None:
            check(file)
    except FileError as error:
        yield file_issue(issues.where(path), error)


def _files(settings: Settings) -> Iterator[tuple[SettingPath, Path, Callable[[Path], None]]]:
    """Each file that controls access, with the required protection."""
    for setting in ("api_keys_file", "policy_file"):
        if file := getattr(settings, setting):
            yield (setting,), file, require_not_writable
    if settings.sealing_keys_file:
        yield ("sealing_keys_file",), settings.sealing_keys_file, require_private
    if tls := settings.tls:
        yield ("tls", "certificate_file"), tls.certificate_file, require_not_writable
        yield ("tls", "key_file"), tls.key_file, require_private
        if tls.client_ca_file:
            yield ("tls", "client_ca_file"), tls.client_ca_file, require_not_writable
    if file := settings.tracing.ca_file:
        yield ("tracing", "ca_file"), file, require_not_writable
    if file := settings.tracing.headers_file:
        yield ("tracing", "headers_file"), file, require_private
    for name, issuer in settings.jwt_issuers.items():
        if issuer.jwks_file:
            yield ("jwt_issuers", name, "jwks_file"), issuer.jwks_file, require_not_writable
        if issuer.jwks_bearer_file:
            yield ("jwt_issuers", name, "jwks_bearer_file"), issuer.jwks_bearer_file, require_private
    for name, client in settings.clients.items():
        for setting in _SECRET_FILES:
            if file := getattr(client, setting):
                yield ("clients", name, setting), file, require_private
        for setting in ("certificate_file", "signing_certificate_file"):
            if file := getattr(client, setting):
                yield ("clients", name, setting), file, require_not_writable
        first, *others = client.client_secret_files or [None]
        for file in filter(None, [first, *(other for other in others if other and other.exists())]):
            yield ("clients", name, "client_secret_files"), file, require_private
