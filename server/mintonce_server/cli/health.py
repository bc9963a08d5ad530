"""`mintonced health`: queries a running server. It has its own parser, and imports neither grpc nor the settings.

Probes run every few seconds in every container: with all imports of `mintonced`, each would cost 0.7 s of CPU.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mintonce_server.api.probe import NoSuchService, SpeaksTls, health_of
from mintonce_server.core.errors import MintonceError

DEADLINE: Final = 2.0
LISTEN: Final = "127.0.0.1:50051"
"""The default of `listen`."""
TEXT: Final = "query the health of a running server"

_TLS_REMEDY: Final = (
    "Query health_listen, such as 127.0.0.1:50053; set it if it is not set. To call the TLS port, give a client the "
    "certificate of its authority: mintonce --ca-file FILE."
)
_PREFIX: Final = "MINTONCE_"
_MAX_CONFIG: Final = 1 << 20


class NoHealthAddress(MintonceError):
    """There is no address that a probe can query."""


def main(argv: list[str]) -> int:
    """The exit code of `mintonced health ARGV`. 0: SERVING."""
    parser = argparse.ArgumentParser(prog="mintonced health", description=f"{TEXT[0].upper()}{TEXT[1:]}.")
    add_health(parser)
    options = parser.parse_args(argv)
    if options.target and "://" in options.target and not options.target.startswith("unix:"):
        return _complain("--target is an address, and not a URL", "Write it as HOST:PORT or unix:/PATH.")
    try:
        target = options.target or address(options.config, os.environ)  # noqa: TID251 - settings would import pydantic
        health = health_of(target, DEADLINE, options.service)
    except NoHealthAddress as error:
        return _complain(str(error), error.remedy)
    except NoSuchService as error:
        return _complain(str(error), "A Mintonce server has the services readiness and liveness.")
    except SpeaksTls as error:
        return _complain(str(error), _TLS_REMEDY)
    except ConnectionError as error:
        return _complain(str(error), "Is `mintonced serve` running there?")
    print(health)
    return 0 if health == "SERVING" else 1


def address(config: Path | None, environ: Mapping[str, str]) -> str:
    """The address where a server with these settings answers probes. Raises NoHealthAddress.

    A probe has no certificate, so a TLS server needs a separate address.
    """
    said = {name.removeprefix(_PREFIX).lower(): text for name, text in environ.items() if name.startswith(_PREFIX)}
    chosen = config or said.get("config")
    file = _read(Path(chosen)) if chosen else {}
    listen = said.get("listen") or file.get("listen", LISTEN)
    probed = said.get("health_listen") or file.get("health_listen")
    tls = file.get("tls") or any(text and name.startswith("tls__") for name, text in said.items())
    if not probed and tls and not str(listen).startswith("unix:"):
        raise NoHealthAddress(
            "the server speaks TLS", remedy="Set health_listen, such as 127.0.0.1:50053, or --target."
        )
    return str(probed or listen)


def _read(config: Path) -> dict[str, Any]:
    from mintonce_server.common.strict_toml import parse_toml  # most containers have no config file

    try:
        with config.open("rb") as file:
            return parse_toml(file.read(_MAX_CONFIG))
    except (OSError, ValueError) as error:  # ValueError: not TOML, or a NUL in the path
        raise NoHealthAddress(f"{config} cannot be read", remedy="Run `mintonced check` for the reason.") from error


def add_health(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mintonced health`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file; default: $MINTONCE_CONFIG")
    parser.add_argument("--target", metavar="ADDRESS", help="HOST:PORT or unix:/PATH; default: from the settings")
    parser.add_argument(
        "--service", default="", metavar="NAME", help="readiness (default) or liveness; others by full name"
    )


def _complain(what: str, remedy: str) -> int:
    from mintonce_server.core.text import visible  # not needed if the server serves

    print(f"mintonced: {visible(what)}\n{visible(remedy)}", file=sys.stderr)
    return 1
