"""The flags for TLS and bearers. Each overrides the variable of its name. They take names of files, never a secret."""

import argparse
from collections.abc import Mapping
from typing import Final

from mintonce import credentials
from mintonce.cli._arguments import utf8

_FLAGS: Final = (
    ("--ca-file", credentials.CA_FILE, "PEM", "the CA bundle to verify the server with"),
    ("--certificate-file", credentials.CERTIFICATE_FILE, "PEM", "this caller's certificate"),
    ("--key-file", credentials.KEY_FILE, "PEM", "its private key, if it is in another file"),
    (
        "--server-name",
        credentials.SERVER_NAME,
        "NAME",
        "the name in the server's certificate, if it is not the target's host",
    ),
)
_BEARERS: Final = (
    ("--bearer-file", credentials.BEARER_FILE, "a file with a bearer token, such as a JWT of Kubernetes"),
    ("--api-key-file", credentials.API_KEY_FILE, "a file with an API key"),
)


def add_credentials(parser: argparse.ArgumentParser) -> None:
    """Options before the command and after it. SUPPRESS: without a default, so that one does not undo the other."""
    group = parser.add_argument_group("credentials", "The connection uses TLS if one of the first five is given.")
    group.add_argument(
        "--tls",
        action="store_const",
        const="true",
        dest=credentials.TLS,
        default=argparse.SUPPRESS,
        help=f"use TLS, and verify the server with this host's CAs (${credentials.TLS}=true)",
    )
    for flag, variable, metavar, what in _FLAGS:
        group.add_argument(
            flag,
            type=str if metavar == "PEM" else utf8,  # the name of a file may have any bytes
            dest=variable,
            metavar=metavar,
            default=argparse.SUPPRESS,
            help=f"{what} (${variable})",
        )
    either = group.add_mutually_exclusive_group()
    for flag, variable, what in _BEARERS:
        either.add_argument(
            flag, dest=variable, metavar="FILE", default=argparse.SUPPRESS, help=f"{what} (${variable})"
        )


def with_flags(environ: Mapping[str, str], args: argparse.Namespace) -> dict[str, str]:
    """The environment as if the flags had been variables."""
    given = {name: value for name, value in vars(args).items() if name.startswith("MINTONCE_")}
    result = {**environ, **given}
    if given.keys() & {credentials.TLS, *(variable for _, variable, _, _ in _FLAGS)}:
        result[credentials.TLS] = "true"
    bearers = {variable for _, variable, _ in _BEARERS}
    if given.keys() & bearers:
        # A flag of one kind overrides the variable of the other kind.
        for variable in bearers - given.keys():
            result.pop(variable, None)
    return result
