"""What must be true of several settings at once. Decides, and says; the only I/O is a look at the files of ca_file."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from mintonce_server.settings.faults import Fault, did_you_mean
from mintonce_server.settings.files import FileFault, read_regular
from mintonce_server.settings.models import ClientSettings, IssuerSettings, ServerSettings
from mintonce_server.settings.tree import Tree
from mintonce_server.settings.values import is_loopback, listens_beyond_loopback


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that are valid in themselves, less what is faulty in them: those faults are told already."""

    server: ServerSettings | None
    issuers: dict[str, IssuerSettings]
    clients: dict[str, ClientSettings]


def check(parts: Parts, tree: Tree) -> Iterator[Fault]:
    """All faults between the parts."""
    if parts.server is not None:
        yield from _check_listen(parts.server, tree)
        for name, issuer in parts.issuers.items():
            yield from _check_issuer(name, issuer, parts.server, tree)
    yield from _check_issuer_names(tree)
    for name, issuer in parts.issuers.items():
        yield from _check_ca_file(name, issuer, tree)


def _check_listen(server: ServerSettings, tree: Tree) -> Iterator[Fault]:
    if listens_beyond_loopback(server.listen) and not server.insecure_listen:
        yield Fault(
            tree.where(("listen",)),
            "anybody who reaches this address would get tokens, since callers prove no identity",
            "Listen on 127.0.0.1 or unix:/PATH; or, where only callers reach it, set insecure_listen = true"
            " (MINTONCE_INSECURE_LISTEN=true).",
        )


def _check_issuer(name: str, issuer: IssuerSettings, server: ServerSettings, tree: Tree) -> Iterator[Fault]:
    path = ("issuers", name)
    url = urlsplit(issuer.token_url)
    if url.scheme == "http" and not is_loopback(url.hostname or "") and not server.insecure_issuer:
        yield Fault(
            tree.where((*path, "token_url")),
            "is plain http:// beyond this machine: the secret would travel in the clear",
            "Use https://; or, if it is meant, set insecure_issuer = true (MINTONCE_INSECURE_ISSUER=true).",
        )
    if "timeout" in issuer.model_fields_set and issuer.timeout > server.mint_deadline:
        yield Fault(
            tree.where((*path, "timeout")),
            f"is longer than the mint deadline of {server.mint_deadline:g} s, which would cut it short",
            "Lower it, or raise mint_deadline.",
        )


def _check_ca_file(name: str, issuer: IssuerSettings, tree: Tree) -> Iterator[Fault]:
    if issuer.ca_file is not None:
        try:
            read_regular(issuer.ca_file)
        except FileFault as error:
            yield error.at(tree.where(("issuers", name, "ca_file")))


def _check_issuer_names(tree: Tree) -> Iterator[Fault]:
    """Works on what was found, so that one fault in an issuer makes no second one in its clients."""
    issuers = tree.table("issuers") or {}
    for name in tree.table("clients") or ():
        client = tree.table("clients", name)
        issuer = client.get("issuer", "default") if client is not None else None
        if isinstance(issuer, str) and issuer not in issuers:
            yield Fault(
                tree.where(("clients", name, "issuer")), "names no issuer that is configured", _which(issuers, issuer)
            )


def _which(issuers: dict[str, object], wanted: str) -> str:
    if issuers:
        return did_you_mean(wanted, issuers)
    return "Set MINTONCE_OAUTH_DOMAIN, or write a table [issuers.NAME] with token_url."
