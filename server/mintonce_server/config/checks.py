"""What must be true of several settings at once. Decides, and says; the only I/O is a look at the files of ca_file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mintonce_server.config.faults import Fault, did_you_mean
from mintonce_server.config.files import FileFault, read_regular
from mintonce_server.config.findings import Findings, table, tables
from mintonce_server.config.models import IssuerSettings
from mintonce_server.config.server import ServerSettings
from mintonce_server.config.types import is_loopback


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that are valid in themselves, less what is faulty in them: those faults are told already."""

    server: ServerSettings | None
    issuers: dict[str, IssuerSettings]


def check(parts: Parts, values: dict[str, Any], findings: Findings) -> Iterator[Fault]:
    """All faults between the parts. `values`: all that was found, valid or not."""
    if parts.server is not None:
        for name, issuer in parts.issuers.items():
            yield from _check_issuer(name, issuer, parts.server, findings)
    yield from _check_issuer_names(values, findings)
    for name, issuer in parts.issuers.items():
        yield from _check_ca_file(name, issuer, findings)


def _check_issuer(name: str, issuer: IssuerSettings, server: ServerSettings, findings: Findings) -> Iterator[Fault]:
    path = ("issuers", name)
    url = urlsplit(issuer.token_url)
    if url.scheme == "http" and not is_loopback(url.hostname or "") and not server.insecure_issuer:
        yield Fault(
            findings.where((*path, "token_url")),
            "is plain http:// beyond this machine: the secret would travel in the clear",
            "Use https://; or, if it is meant, set insecure_issuer = true (MINTONCE_INSECURE_ISSUER=true).",
        )
    if "timeout" in issuer.model_fields_set and issuer.timeout > server.mint_deadline:
        yield Fault(
            findings.where((*path, "timeout")),
            f"is longer than the mint deadline of {server.mint_deadline:g} s, which would cut it short",
            "Lower it, or raise mint_deadline.",
        )


def _check_ca_file(name: str, issuer: IssuerSettings, findings: Findings) -> Iterator[Fault]:
    if issuer.ca_file is not None:
        try:
            read_regular(issuer.ca_file)
        except FileFault as error:
            yield error.at(findings.where(("issuers", name, "ca_file")))


def _check_issuer_names(values: dict[str, Any], findings: Findings) -> Iterator[Fault]:
    """Works on what was found, so that one fault in an issuer makes no second one in its clients."""
    issuers = table(values, "issuers") or {}
    for path, client in tables(values):
        here = (*path, "issuer")
        wanted = client.get("issuer", "default")
        if path[0] != "clients" or not isinstance(wanted, str) or wanted in issuers or here in findings.spoiled:
            continue
        yield Fault(findings.where(here), "names no issuer that is configured", _which(issuers, wanted))


def _which(issuers: dict[str, object], wanted: str) -> str:
    if issuers:
        return did_you_mean(wanted, issuers)
    return "Set MINTONCE_OAUTH_DOMAIN, or write a table [issuers.NAME] with token_url."
