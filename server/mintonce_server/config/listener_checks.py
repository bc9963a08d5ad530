"""Rules about the addresses where the server listens. Pure."""

import ipaddress
from collections.abc import Iterator
from typing import Final

from mintonce_server.common.network import is_loopback, listens_beyond_loopback
from mintonce_server.config.issues import Issues, SettingPath, ValidationIssue, dotted
from mintonce_server.config.models import Settings

_AUTHENTICATION: Final = "tls.client_ca_file, [jwt_issuers.NAME] or api_keys_file"


def check_listeners(settings: Settings, issues: Issues) -> Iterator[ValidationIssue]:
    """Issues of all addresses. `settings` may lack what is known to be invalid."""
    yield from _check_open(("listen",), settings.listen, settings, issues)
    yield from _check_token_endpoint(settings, issues)
    yield from _check_bearer(settings, issues)
    yield from _check_http(settings, issues)
    yield from _check_distinct(settings, issues)


def _check_open(path: SettingPath, listen: str, settings: Settings, issues: Issues) -> Iterator[ValidationIssue]:
    """Whether tokens could be had or read by everyone."""
    if listens_beyond_loopback(listen) and not settings.insecure_listen:
        if _has_no_tls(settings, issues):
            yield ValidationIssue(
                issues.where(path),
                "is reachable from other machines without TLS: tokens would be sent unencrypted",
                "Set [tls] with certificate_file and key_file; or listen on 127.0.0.1 or unix:/PATH; or, if only"
                " callers can reach it, set insecure_listen = true (MINTONCE_INSECURE_LISTEN=true).",
            )
        elif settings.tls is not None and not settings.authenticates_callers:
            yield ValidationIssue(
                issues.where(path),
                "is reachable from other machines, and callers are not authenticated: everyone could get tokens",
                f"Set {_AUTHENTICATION}; or, if only callers can reach it, set insecure_listen = true"
                " (MINTONCE_INSECURE_LISTEN=true).",
            )


def _check_token_endpoint(settings: Settings, issues: Issues) -> Iterator[ValidationIssue]:
    chosen = settings.token_endpoint
    if chosen.listen is not None:
        yield from _check_open(("token_endpoint", "listen"), chosen.listen, settings, issues)
        return
    if issues.has_any_in("token_endpoint"):
        return
    for setting in sorted(chosen.model_fields_set - {"listen"}):
        yield ValidationIssue(
            issues.where(("token_endpoint", setting)),
            "has no effect without token_endpoint.listen",
            "Set token_endpoint.listen, or remove it.",
        )


def _check_bearer(settings: Settings, issues: Issues) -> Iterator[ValidationIssue]:
    if settings.bearer_listen is None:
        return
    if _has_no_tls(settings, issues) and not settings.bearer_listen.startswith("unix:"):
        yield ValidationIssue(
            issues.where(("bearer_listen",)), "has no TLS", "Set [tls] with certificate_file and key_file."
        )
    if not settings.jwt_issuers and not settings.api_keys_file:
        yield ValidationIssue(
            issues.where(("bearer_listen",)),
            "accepts no kind of credentials",
            "Set [jwt_issuers.NAME] or api_keys_file.",
        )


def _check_http(settings: Settings, issues: Issues) -> Iterator[ValidationIssue]:
    listen = settings.http.listen
    if listen is None or not listens_beyond_loopback(listen) or settings.http.insecure_metrics:
        return
    is_guarded = settings.tls is not None and settings.authenticates_callers
    if not is_guarded and not issues.has_any_in("tls"):
        yield ValidationIssue(
            issues.where(("http", "listen")),
            "is reachable from other machines without TLS or caller authentication",
            f"Set [tls], and {_AUTHENTICATION}; or listen on 127.0.0.1; or, if only monitoring can reach it, set"
            " http.insecure_metrics = true (MINTONCE_HTTP__INSECURE_METRICS=true): the status page stays closed.",
        )


def _check_distinct(settings: Settings, issues: Issues) -> Iterator[ValidationIssue]:
    """Two listeners on one address: the second one could not start."""
    named: list[tuple[SettingPath, str | None]] = [
        (("listen",), settings.listen),
        (("bearer_listen",), settings.bearer_listen),
        (("health_listen",), settings.health_listen),
        (("http", "listen"), settings.http.listen),
        (("token_endpoint", "listen"), settings.token_endpoint.listen),
    ]
    seen: list[tuple[SettingPath, str]] = []
    for path, listen in named:
        if listen is None or path in issues.invalid:
            continue
        for other, taken in seen:
            if _overlap(listen, taken):
                yield ValidationIssue(
                    issues.where(path),
                    f"is the address of {dotted(other)}, too",
                    "Choose another port." if not listen.startswith("unix:") else "Choose another path.",
                )
                break
        seen.append((path, listen))


def _overlap(one: str, other: str) -> bool:
    """Whether both cannot be listened on."""
    if one.startswith("unix:") or other.startswith("unix:"):
        return one == other
    (host, _, port), (host_of_other, _, port_of_other) = one.rpartition(":"), other.rpartition(":")
    if port != port_of_other or int(port) == 0:  # 0: the system chooses
        return False
    hosts = {_host(host), _host(host_of_other)}
    return len(hosts) == 1 or "*" in hosts


def _host(text: str) -> str:
    """One spelling; "*" for all addresses of the machine."""
    host = text.strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "127.0.0.1" if is_loopback(host) else host
    return "*" if address.is_unspecified else str(address)


def _has_no_tls(settings: Settings, issues: Issues) -> bool:
    """Not if [tls] is there, and invalid: that is an issue by itself."""
    return settings.tls is None and not issues.has_any_in("tls")
