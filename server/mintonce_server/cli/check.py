"""`mintonced check`: issues of the settings; if there are none, a summary, and probes of what the service needs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TextIO
from urllib.parse import urlsplit

from mintonce_server.common.causes import Cause, cause_of
from mintonce_server.common.trust import trust
from mintonce_server.config import IssuerSettings, Settings, SettingsError, load, visible
from mintonce_server.core.errors import IssuerUnavailable, MintonceError
from mintonce_server.issuer.connection_errors import issuer_peer
from mintonce_server.store.survey import StoreReport

PROBE_SECONDS: Final = 5.0
"""Timeout of a probe."""
STORE_SECONDS: Final = 15.0
"""Timeout of the store's probe, which runs many operations on each server with keys."""

_FINE: Final = {
    "files": "usable",
    "store": "reached; it supports everything that the service needs",
    "token endpoint": "tried",
}
"""What is printed for a successful probe; default: reached."""

FINE: Final = 0
FAULTY: Final = 1


class Report(Protocol):
    """The result of a successful probe. `notes`: information that is not a fault."""

    @property
    def faults(self) -> Sequence[Cause]: ...
    @property
    def notes(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Probes:
    """Functions that test dependencies. Each raises MintonceError, with a remedy, on failure."""

    store: Callable[[Settings], Awaitable[StoreReport | None]]
    issuer: Callable[[IssuerSettings], Awaitable[None]]
    way: Callable[[Settings, str], Awaitable[None]] | None = None
    files: Callable[[Settings], Awaitable[None]] | None = None
    token_endpoint: Callable[[Settings], Awaitable[Report]] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a probe. `notes`: information that is not a fault."""

    what: str
    faults: Sequence[Cause] = ()
    notes: Sequence[str] = ()


async def run_check(config: Path | None, environ: Mapping[str, str] | None, probes: Probes, out: TextIO) -> int:
    """Write the report, with the verdict last; return the exit code. `environ`: None for that of the process.

    Mints nothing and leaves nothing in the store.
    """
    try:
        settings = load(config) if environ is None else load(config, environ)
    except SettingsError as error:
        out.writelines(f"{line}\n" for line in report_faults(error))
        return FAULTY
    out.writelines(f"{line}\n" for line in describe(settings))
    outcomes = await _probe_all(settings, probes)
    out.writelines(f"{line}\n" for line in report_outcomes(outcomes))
    return FAULTY if any(outcome.faults for outcome in outcomes) else FINE


def report_faults(error: SettingsError) -> Iterator[str]:
    """Every issue with its remedy."""
    count = len(error.issues)
    yield f"{count} fault{'s'[: count != 1]} in the settings:"
    for issue in error.issues:
        yield ""
        yield visible(f"  {issue.where}")
        yield visible(f"    {issue.what}")
        yield visible(f"    → {issue.remedy}")
    yield ""
    yield _verdict(count)


def describe(settings: Settings) -> Iterator[str]:
    """A summary of the settings, without secrets."""
    yield "The settings are valid."
    yield _row(
        "listen", f"{settings.listen}{', open to everyone who can reach it' if settings.insecure_listen else ''}"
    )
    in_clear = ", without TLS" if settings.insecure_redis else ""
    names = f"prefix {settings.redis.prefix}"
    yield _row("store", f"{settings.redis.safe_url}{in_clear}; {names}; in an outage: {settings.store_outage}")
    yield _row("callers", ", ".join(_callers(settings)) or "not authenticated")
    yield _row("policy", str(settings.policy_file) if settings.policy_file else "none: everything is allowed")
    sealed = "with sealing_keys_file" if settings.sealing_keys_file else "with publicly known keys"
    yield _row("sealed", sealed)
    yield _row("audit", str(settings.audit_file) if settings.audit_file else "none")
    if settings.token_endpoint.listen:
        yield _row("oauth", f"POST /oauth/token at {settings.token_endpoint.listen}, {_revocation(settings)}")
    for name, issuer in settings.issuers.items():
        yield _row("issuer", f"{name}: {_issuer(issuer)}")
    for name, client in settings.clients.items():
        yield _row("client", f"{name}: from {client.issuer}, for {_audiences(client.audiences)}")


def _revocation(settings: Settings) -> str:
    return "POST /oauth/revoke too" if settings.token_endpoint.revocation else "no revocation"


def _callers(settings: Settings) -> Iterator[str]:
    if settings.tls and settings.tls.client_ca_file:
        yield f"certificates of {', '.join(settings.tls.trust_domains)}"
    for name, issuer in settings.jwt_issuers.items():
        yield f"JWTs of {name} ({issuer.issuer})"
    if settings.api_keys_file:
        yield "API keys"


def report_outcomes(outcomes: list[Outcome]) -> Iterator[str]:
    """The results of the probes: notes, and faults with their remedies. The verdict is the last line."""
    for outcome in outcomes:
        if not outcome.faults:
            yield _row("probe", f"{outcome.what}: {_FINE.get(outcome.what, 'reached')}")
        for note in outcome.notes:
            yield _row("note", note)
        for fault in outcome.faults:
            yield _row("fault", f"{outcome.what}: {fault.what}")
            yield _row("", f"→ {fault.remedy}")
    yield _verdict(sum(len(outcome.faults) for outcome in outcomes))


def _verdict(faults: int) -> str:
    if not faults:
        return "Verdict: no faults."
    return f"Verdict: {faults} fault{'s'[: faults != 1]}. Fix {'it' if faults == 1 else 'them'}, and check again."


async def probe_issuer(issuer: IssuerSettings) -> None:
    """Connect to the issuer's host, with TLS if the URL is https. Sends no request.

    Raises IssuerUnavailable.
    """
    url = urlsplit(issuer.token_url or issuer.issuer or "")
    host = url.hostname or ""
    ca_file = str(issuer.ca_file) if issuer.ca_file else None
    try:
        tls = trust(ca_file, with_system=issuer.system_authorities) if url.scheme == "https" else None
    except ValueError as error:
        raise IssuerUnavailable(str(error), remedy="Name a file with certificates in PEM as ca_file.") from error
    try:
        _, writer = await asyncio.open_connection(host, url.port or (443 if tls else 80), ssl=tls)
        writer.transport.abort()  # a graceful close would wait for the peer
        await writer.wait_closed()
    except (OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
        setting = "token_url" if issuer.token_url else "issuer"
        cause = cause_of(error, issuer_peer(host, setting)) or Cause(
            f"no connection to the issuer at {host} ({type(error).__name__})",
            f"Check the host name and port in {setting}, DNS, firewall and proxy.",
        )
        raise IssuerUnavailable(cause.what, remedy=cause.remedy) from error


async def _probe_all(settings: Settings, probes: Probes) -> list[Outcome]:
    return await asyncio.gather(
        *([_probe("files", probes.files(settings))] if probes.files else []),
        _probe("store", probes.store(settings), STORE_SECONDS),
        *_endpoint_probe(settings, probes),
        *(_probe(f"issuer {name}", _issuer_probe(settings, name, probes)) for name in settings.issuers),
    )


def _endpoint_probe(settings: Settings, probes: Probes) -> Iterator[Awaitable[Outcome]]:
    if probes.token_endpoint is not None and settings.token_endpoint.listen:
        yield _probe("token endpoint", probes.token_endpoint(settings))


def _issuer_probe(settings: Settings, name: str, probes: Probes) -> Awaitable[None]:
    """Connecting is enough, unless there is a proxy or a document on the way."""
    issuer = settings.issuers[name]
    if probes.way is not None and (issuer.issuer or issuer.proxy or issuer.proxy_file):
        return probes.way(settings, name)
    return probes.issuer(issuer)


async def _probe(what: str, probe: Awaitable[Report | None], seconds: float | None = None) -> Outcome:
    seconds = PROBE_SECONDS if seconds is None else seconds
    try:
        async with asyncio.timeout(seconds):
            proof = await probe
    except MintonceError as error:
        return Outcome(what, [Cause(" ".join(str(error).split()), error.remedy)])
    except TimeoutError:
        return Outcome(what, [Cause(f"no answer within {seconds:g} s", "Check the address, firewall and proxy.")])
    return Outcome(what, proof.faults, proof.notes) if proof else Outcome(what)


def _row(label: str, text: str) -> str:
    return visible(f"  {label:<8}{text}")


def _issuer(issuer: IssuerSettings) -> str:
    provider = f"{issuer.provider}, " if issuer.provider else ""
    proxy = ", through a proxy" if issuer.proxy or issuer.proxy_file else ""
    where = _without_query(issuer.token_url or issuer.issuer or "")
    return f"{where} ({provider}{issuer.request}, {issuer.auth}{proxy})"


def _audiences(audiences: tuple[str, ...]) -> str:
    return "any audience" if "*" in audiences else ", ".join(audiences)


def _without_query(url: str) -> str:
    return url.partition("?")[0]
