"""`mintonced`: parses arguments and runs a command. Exit codes: 0 success, 1 failure with a message, 2 usage."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from mintonce_server import app
from mintonce_server.cli import health
from mintonce_server.cli.budget import add_budget, run_budget
from mintonce_server.cli.check import Probes, probe_issuer, run_check
from mintonce_server.cli.check_endpoint import probe_token_endpoint
from mintonce_server.cli.explain import add_explain, run_explain
from mintonce_server.cli.keys import add_apikey, add_keygen, run_apikey, run_keygen, run_reseal
from mintonce_server.cli.notify import service_manager
from mintonce_server.cli.output import Unwritable
from mintonce_server.cli.process import harden, run_until_signal
from mintonce_server.cli.trial import add_trial, run_trial
from mintonce_server.common.arguments import port, positive_seconds
from mintonce_server.config import effective, load, load_explained, reference_table, visible
from mintonce_server.core.errors import MintonceError
from mintonce_server.observability import logs

PRACTICE_ISSUER = "practice-issuer"


class NotInstalled(MintonceError):
    """A command of mintonce_dev, which this installation lacks."""

    def __init__(self, command: str) -> None:
        super().__init__(f"`mintonced {command}` is not installed: pip install 'mintonce[dev]'", remedy="")


def _practice_issuer(argv: list[str]) -> int:
    try:
        from mintonce_dev import practice_issuer  # only here: a server runs without mintonce_dev
    except ModuleNotFoundError:
        return _fail(NotInstalled(PRACTICE_ISSUER))
    return practice_issuer.main(argv)


OTHERS = {PRACTICE_ISSUER: _practice_issuer, "health": health.main}
"""Commands with parsers of their own."""

INTERRUPTED = 130

_EFFECTIVE = "print the settings in effect instead, each with where it comes from; no secret is shown"


def main(argv: list[str] | None = None) -> int:
    """The exit code of `mintonced ARGV`."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in OTHERS:
        return OTHERS[argv[0]](argv[1:])
    options = _parser().parse_args(argv)
    try:
        code: int = options.run(options)
    except MintonceError as error:
        return _fail(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Unwritable:
        raise
    except OSError as error:
        return _complain(str(error), "Free the address or the path, or choose another one.")
    except Exception as error:  # noqa: BLE001 - a bug of ours at start or shutdown: as a log line, not as bare text
        logs.get_logger(__name__).error("unexpected_error", where=options.command, exc_info=error)
        return 1
    return code


def _fail(error: MintonceError) -> int:
    return _complain(str(error), error.remedy)


def _complain(what: str, remedy: str) -> int:
    lines = f"mintonced: {what}\n{remedy}".rstrip().split("\n")
    print("\n".join(map(visible, lines)), file=sys.stderr)
    return 1


def _serve(options: argparse.Namespace) -> int:
    # Until the reloader listens, a reload signal must not end the program.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = load(options.config)
    known = [client.client_secret for client in settings.clients.values() if client.client_secret]
    logs.configure(settings.log.level, settings.log.format, known=known)
    for failure in harden():
        logs.get_logger(__name__).warning("not_hardened", detail=failure)

    async def work(stopping: asyncio.Event) -> None:
        async with service_manager(stopping) as manager:
            await app.serve(settings, stopping, manager.ready, manager.status if manager.is_there else None)

    run_until_signal(work)
    return 0


def _dev(options: argparse.Namespace) -> int:
    try:
        from mintonce_dev import sandbox  # only here: a server runs without mintonce_dev
    except ModuleNotFoundError as error:
        raise NotInstalled("dev") from error
    logs.configure(options.log_level, "console")
    chosen = sandbox.SandboxOptions(
        options.dir,
        options.listen,
        options.http_listen,
        options.token_listen,
        options.issuer_port,
        options.lifetime,
        options.log_level,
    )
    run_until_signal(lambda stopping: sandbox.run(chosen, stopping, lambda text: print(text, flush=True)))
    return 0


def _check(options: argparse.Namespace) -> int:
    probes = Probes(
        store=app.prove_store,
        issuer=probe_issuer,
        way=app.probe_way,
        files=app.try_files,
        token_endpoint=probe_token_endpoint,
    )
    code = asyncio.run(run_check(options.config, None, probes, sys.stdout))
    return run_trial(options) if options.mint and code == 0 else code


def _settings(options: argparse.Namespace) -> int:
    if options.effective:
        for line in effective(*load_explained(options.config)):
            print(visible(line))
    else:
        print(reference_table())
    return 0


def _completion(options: argparse.Namespace) -> int:
    # Only here: `serve` does not import the client. The wheel has both.
    from mintonce.cli import _completion as client  # pyright: ignore[reportPrivateUsage] - the same distribution

    try:
        client.completion(options.parser, options.shell)
    except client.NoCompletion as error:
        return _complain(str(error), "")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mintonced",
        description="The Mintonce server: mint once, share with the fleet.",
        epilog="Exit codes: 0 success; 1 failure, with a message; 2 usage.",
    )
    parser.add_argument("--version", action="version", version=f"mintonced {version('mintonce')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name, run, text in (
        ("serve", _serve, "run the service"),
        ("check", _check, "validate the settings, and test store and issuers; mints nothing without --mint"),
        ("reseal", run_reseal, "seal all tokens in the store with the newest key"),
        ("settings", _settings, "print every setting with its default and meaning"),
    ):
        command = _command(commands, name, run, text)
        command.add_argument("--config", type=Path, metavar="FILE", help="TOML file; default: $MINTONCE_CONFIG")
        if run is _settings:
            command.add_argument("--effective", action="store_true", help=_EFFECTIVE)
        if run is _check:
            add_trial(command)
            health.add_health(commands.add_parser("health", help=health.TEXT))
    add_budget(_command(commands, "budget", run_budget, "show what clients used in a month, and where that leads"))
    add_keygen(_command(commands, "keygen", run_keygen, "print a new file of sealing keys, or add a key to a file"))
    add_apikey(_command(commands, "apikey", run_apikey, "make an API key for a caller"))
    add_explain(_command(commands, "explain", run_explain, "show which rule of the policy decides, and why"))
    _add_dev(_command(commands, "dev", _dev, "run server, store and practice issuer on this machine, to try it out"))
    commands.add_parser(PRACTICE_ISSUER, help="run only the practice issuer")
    completion = _command(commands, "completion", _completion, "print a script that completes commands in your shell")
    completion.description = (
        'Print a script that completes commands and options. For bash: eval "$(mintonced completion bash)"'
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    completion.set_defaults(parser=parser)
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
    dev.add_argument(
        "--http-listen",
        default="127.0.0.1:9464",
        metavar="ADDRESS",
        help="for metrics and the status page; default: %(default)s",
    )
    dev.add_argument(
        "--token-listen",
        default="127.0.0.1:50052",
        metavar="ADDRESS",
        help="for OAuth libraries: POST /oauth/token; default: %(default)s",
    )
    dev.add_argument("--issuer-port", type=port, default=50080, metavar="PORT", help="default: %(default)s; 0: any")
    dev.add_argument(
        "--lifetime",
        type=positive_seconds,
        default=86_400.0,
        metavar="SECONDS",
        help="of practice tokens; default: one day",
    )
    dev.add_argument("--dir", type=Path, default=Path(".mintonce"), help="data directory; default: %(default)s")
    dev.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info", help="default: %(default)s"
    )
