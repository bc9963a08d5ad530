"""`mintonced check`: what is wrong with the settings; or what they mean, and whether store and issuers answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

from mintonce_server.common.causes import Cause, cause_of
from mintonce_server.config import IssuerSettings, Settings, SettingsError, load, visible
from mintonce_server.core.errors import IssuerUnavailable, MintonceError
from mintonce_server.issuer.connections import issuer_peer, trust
from mintonce_server.store.surveying import Proof

PROBE_SECONDS: Final = 5.0
"""The deadline of a probe."""
STORE_SECONDS: Final = 15.0
"""The deadline of the store's: it does much, with each server that keeps keys."""

_FINE: Final = {"files": "they fit", "store": "reached; it does all that the service needs"}
"""What is said of a probe that found no trouble; others: reached."""

FINE: Final = 0
FAULTY: Final = 1


@dataclass(frozen=True, slots=True)
class Probes:
    """How to see whether the others are there. Each raises MintonceError, with a remedy, when they are not."""

    store: Callable[[Settings], Awaitable[Proof | None]]
    issuer: Callable[[IssuerSettings], Awaitable[None]]
    files: Callable[[Settings], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a probe found. Without faults, all is well. `notes`: what one should know."""

    what: str
    faults: Sequence[Cause] = ()
    notes: Sequence[str] = ()


async def run_check(config: Path | None, environ: Mapping[str, str] | None, probes: Probes, out: TextIO) -> int:
    """Write the report, the verdict last; return the exit code. `environ`: None for the process's own.

    Mints nothing, and leaves nothing in the store.
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
    """Every fault with its remedy."""
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
    """What the server would do, without any secret."""
    yield "The settings are fine."
    yield _row("listen", f"{settings.listen}{', open to all who reach it' if settings.insecure_listen else ''}")
    in_clear = ", in clear" if settings.insecure_redis else ""
    names = f"names begin with {settings.redis.prefix}"
    yield _row("store", f"{settings.redis.safe_url}{in_clear}; {names}; in an outage: {settings.store_outage}")
    yield _row("callers", ", ".join(_callers(settings)) or "anybody: nobody is asked who he is")
    yield _row("policy", str(settings.policy_file) if settings.policy_file else "all may have all")
    sealed = "by sealing_keys_file" if settings.sealing_keys_file else "by keys that everybody knows"
    yield _row("sealed", sealed)
    yield _row("audit", str(settings.audit_file) if settings.audit_file else "none")
    for name, issuer in settings.issuers.items():
        yield _row("issuer", f"{name}: {_without_query(issuer.token_url)} ({issuer.request}, {issuer.auth})")
    for name, client in settings.clients.items():
        yield _row("client", f"{name}: from {client.issuer}, for {_audiences(client.audiences)}")


def _callers(settings: Settings) -> Iterator[str]:
    if settings.tls and settings.tls.client_ca_file:
        yield f"certificates of {', '.join(settings.tls.trust_domains)}"
    for name, issuer in settings.jwt_issuers.items():
        yield f"JWTs of {name} ({issuer.issuer})"
    if settings.api_keys_file:
        yield "API keys"


def report_outcomes(outcomes: list[Outcome]) -> Iterator[str]:
    """What each probe found: notes, and faults with their remedies. The verdict is the last line."""
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
        return "Verdict: fine."
    return f"Verdict: {faults} fault{'s'[: faults != 1]}. Mend {'it' if faults == 1 else 'them'}, and check again."


async def probe_issuer(issuer: IssuerSettings) -> None:
    """Connect to the issuer's host, and speak TLS with it if the URL says https. Sends no request.

    Raises IssuerUnavailable.
    """
    url = urlsplit(issuer.token_url)
    host = url.hostname or ""
    try:
        tls = trust(str(issuer.ca_file) if issuer.ca_file else None) if url.scheme == "https" else None
    except ValueError as error:
        raise IssuerUnavailable(str(error), remedy="Name a file with certificates in PEM as ca_file.") from error
    try:
        _, writer = await asyncio.open_connection(host, url.port or (443 if tls else 80), ssl=tls)
        writer.transport.abort()  # a polite end would wait for the other side's
        await writer.wait_closed()
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA refuses
        cause = cause_of(error, issuer_peer(host)) or Cause(
            f"no connection to the issuer at {host} ({type(error).__name__})",
            "Check the host name and port in token_url, DNS, firewall and proxy.",
        )
        raise IssuerUnavailable(cause.what, remedy=cause.remedy) from error


async def _probe_all(settings: Settings, probes: Probes) -> list[Outcome]:
    return await asyncio.gather(
        *([_probe("files", probes.files(settings))] if probes.files else []),
        _probe("store", probes.store(settings), STORE_SECONDS),
        *(_probe(f"issuer {name}", probes.issuer(issuer)) for name, issuer in settings.issuers.items()),
    )


async def _probe(what: str, probe: Awaitable[Proof | None], seconds: float | None = None) -> Outcome:
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


def _audiences(audiences: tuple[str, ...]) -> str:
    return "any audience" if "*" in audiences else ", ".join(audiences)


def _without_query(url: str) -> str:
    return url.partition("?")[0]
