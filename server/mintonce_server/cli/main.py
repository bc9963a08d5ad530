"""`mintonced`: argv → settings → app; exit codes. 0: ended as asked, 1: it says why not, 2: usage."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

from mintonce_server import app
from mintonce_server.auth.api_keys import new_api_key
from mintonce_server.cli import health
from mintonce_server.cli.check import Probes, probe_issuer, run_check
from mintonce_server.cli.explain import add_explain, run_explain
from mintonce_server.cli.output import Unwritable
from mintonce_server.config import load, reference_table, visible
from mintonce_server.core.errors import MintonceError
from mintonce_server.hardening import harden
from mintonce_server.observability import logs
from mintonce_server.observability.clock import SystemClock
from mintonce_server.replacing import replace_file
from mintonce_server.store.keyring import new_keyring, with_new_key

PRACTICE_ISSUER = "practice-issuer"


def _practice_issuer(argv: list[str]) -> int:
    from mintonce_dev import practice_issuer  # only here: a server need not have it

    return practice_issuer.main(argv)


OTHERS = {PRACTICE_ISSUER: _practice_issuer, "health": health.main}
"""Commands with parsers of their own."""

INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """The exit code of `mintonced ARGV`."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in OTHERS:
        return OTHERS[argv[0]](argv[1:])
    options = _parser().parse_args(argv)
    try:
        code: int = options.run(options)
    except MintonceError as error:
        return _complain(str(error), error.remedy)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Unwritable:
        raise
    except OSError as error:
        return _complain(str(error), "Free the address or the path, or choose another one.")
    except Exception as error:  # noqa: BLE001 - a fault of ours at the start or the end: as a log line, not as bare text
        logs.get_logger(__name__).error("unexpected_error", where=options.command, exc_info=error)
        return 1
    return code


def _complain(what: str, remedy: str) -> int:
    lines = f"mintonced: {what}\n{remedy}".split("\n")
    print("\n".join(map(visible, lines)), file=sys.stderr)
    return 1


def _serve(options: argparse.Namespace) -> int:
    # From now on until the reloader listens, a signal that asks to reload must not end the program.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = load(options.config)
    known = [client.client_secret for client in settings.clients.values() if client.client_secret]
    logs.configure(settings.log_level, settings.log_format, known=known)
    for failure in harden():
        logs.get_logger(__name__).warning("not_hardened", detail=failure)
    _run_until_signal(lambda stopping: app.serve(settings, stopping, lambda _: None))
    return 0


def _dev(options: argparse.Namespace) -> int:
    from mintonce_dev import sandbox  # only here: a server need not have it

    logs.configure(options.log_level, "console")
    chosen = sandbox.SandboxOptions(
        options.dir, options.listen, options.issuer_port, options.lifetime, options.log_level
    )
    _run_until_signal(lambda stopping: sandbox.run(chosen, stopping, lambda text: print(text, flush=True)))
    return 0


def _check(options: argparse.Namespace) -> int:
    probes = Probes(store=app.prove_store, issuer=probe_issuer, files=app.try_files)
    return asyncio.run(run_check(options.config, None, probes, sys.stdout))


def _settings(_: argparse.Namespace) -> int:
    print(reference_table())
    return 0


def _keygen(options: argparse.Namespace) -> int:
    """Prints a key file; with --rotate changes one in place, so that no half-written file is ever read."""
    if options.rotate is None:
        print(new_keyring(), end="")
        return 0
    ahead = SystemClock().unix() + options.after
    try:
        replace_file(options.rotate, lambda text: with_new_key(text, ahead))
    except OSError as error:
        return _complain(f"{options.rotate} cannot be replaced: {error.strerror}", "Name a file that this user owns.")
    print(f"{options.rotate} has a new key. Replicas seal with it in {options.after:g} s: give it to all before.")
    return 0


def _apikey(options: argparse.Namespace) -> int:
    """The key goes to stdout, for the caller; its hash, for the server's file, to stderr."""
    key, line = new_api_key(options.name)
    print(key.reveal())
    print(f"Add to the table [keys] of api_keys_file:\n{line}", file=sys.stderr)
    return 0


def _reseal(options: argparse.Namespace) -> int:
    done = asyncio.run(app.reseal(load(options.config)))
    print(f"sealed anew: {done.resealed}; newest key before: {done.already}; unreadable: {done.unreadable}")
    return 1 if done.unreadable else 0


def _run_until_signal(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """SIGTERM and SIGINT end the work gently; a second SIGINT, from a person in a hurry, ends it at once."""

    async def body() -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()

        def interrupt() -> None:
            stopping.set()
            loop.remove_signal_handler(signal.SIGINT)

        loop.add_signal_handler(signal.SIGTERM, stopping.set)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        await work(stopping)

    asyncio.run(body())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mintonced",
        description="Mintonce, the server: mint once, share with the fleet.",
        epilog="Exit codes: 0 ended as asked; 1 it says why not; 2 usage.",
    )
    parser.add_argument("--version", action="version", version=f"mintonced {version('mintonce')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name, run, text in (
        ("serve", _serve, "run the service"),
        ("check", _check, "say what is wrong with the settings and how to mend it; mints nothing"),
        ("reseal", _reseal, "seal every token in the store with the newest key, now"),
        ("settings", _settings, "print every setting with its default and meaning"),
    ):
        command = _command(commands, name, run, text)
        if run is not _settings:
            command.add_argument("--config", type=Path, metavar="FILE", help="TOML file; default: $MINTONCE_CONFIG")
        if run is _check:
            commands.add_parser("health", help=health.TEXT)
    keygen = _command(commands, "keygen", _keygen, "print a new file of sealing keys, or add a key to one")
    keygen.add_argument("--rotate", type=Path, metavar="FILE", help="put a new key in front of those in FILE")
    keygen.add_argument(
        "--after", type=float, default=60.0, metavar="SECONDS", help="until the new key seals; default: %(default)g"
    )
    apikey = _command(commands, "apikey", _apikey, "make an API key for a caller")
    apikey.add_argument("name", metavar="NAME", help="what the policy calls it: key:NAME")
    add_explain(_command(commands, "explain", run_explain, "say which rule of the policy decides, and why"))
    _add_dev(_command(commands, "dev", _dev, "run all of it on this machine, to try it out"))
    commands.add_parser(PRACTICE_ISSUER, help="run only the practice issuer")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage] - its only name
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.set_defaults(run=run)
    return command


def _add_dev(dev: argparse.ArgumentParser) -> None:
    dev.add_argument("--listen", default="127.0.0.1:50051", metavar="ADDRESS", help="default: %(default)s")
    dev.add_argument("--issuer-port", type=int, default=50080, metavar="PORT", help="default: %(default)s; 0: any")
    dev.add_argument(
        "--lifetime", type=float, default=86_400.0, metavar="SECONDS", help="of the practice tokens; default: a day"
    )
    dev.add_argument("--dir", type=Path, default=Path(".mintonce"), help="keeps the tokens; default: %(default)s")
    dev.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info", help="default: %(default)s"
    )
