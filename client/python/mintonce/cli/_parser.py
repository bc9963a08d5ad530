"""The arguments of `mintonce`."""

import argparse
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from mintonce import _channel
from mintonce.cli import _commands, _completion, _http, _status, _top
from mintonce.cli._arguments import count, duration, generation, positive_duration, utf8
from mintonce.cli._credentials import add_credentials

if TYPE_CHECKING:
    # argparse gives the type no public name, and at run time no parameter.
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - its only name

EXIT_CODES: Final = """\
exit codes:
  0    done
  1    refused by the server, or the output cannot be written; a retry does not help until the cause is corrected;
       `status`: something needs you
  2    the command line, or what was read from standard input, is wrong
  3    the server cannot be reached or has no token now; try again later
  130  interrupted
"""


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="mintonce",
        description="Shared OAuth 2.0 access tokens from a Mintonce server.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--version", action="version", version=f"mintonce {version('mintonce')}")
    _add_connection(result, again=False)
    commands = result.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_get(commands)
    _add_watch(commands)
    _add_reject(commands)
    _add_rotate(commands)
    _add_ls(commands)
    _add_status(commands)
    _add_top(commands)
    _add_completion(commands, result)
    return result


def _add_get(commands: "_Commands") -> None:
    get = commands.add_parser(
        "get", help="print a token", description="Print the live token; mint it if there is none."
    )
    _add_key(get)
    form = get.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything about the token, as JSON")
    form.add_argument("--header", action="store_true", help="print an HTTP header: Authorization: Bearer …")
    get.add_argument("--min-ttl", type=duration, metavar="DURATION", help="lifetime that it should have left, as 5m")
    _add_connection(get, again=True)
    get.set_defaults(run=_commands.get)


def _add_watch(commands: "_Commands") -> None:
    watch = commands.add_parser(
        "watch",
        help="print a line for each new token of a key",
        description="Print a line for the live token, then one for each successor, until interrupted.",
    )
    _add_key(watch)
    watch.add_argument("--json", action="store_true", help="print JSON lines")
    watch.add_argument("--show-token", action="store_true", help="also print the token itself")
    watch.add_argument("--count", type=count, default=0, metavar="N", help="stop after N tokens")
    _add_connection(watch, again=True)
    watch.set_defaults(run=_commands.watch)


def _add_reject(commands: "_Commands") -> None:
    reject = commands.add_parser(
        "reject",
        help="report that an API refused a token",
        description="Report that an API refused a token before its expiry: by default the current one. "
        "All replicas stop serving it; the next `get` mints a new one.",
    )
    _add_key(reject)
    which = reject.add_mutually_exclusive_group()
    which.add_argument("--generation", type=generation, metavar="N", help="the refused token's generation")
    which.add_argument("--token-stdin", action="store_true", help="read the refused token from standard input")
    _add_connection(reject, again=True)
    reject.set_defaults(run=_commands.reject)


def _add_rotate(commands: "_Commands") -> None:
    rotate = commands.add_parser(
        "rotate",
        help="mint the successor of a token now",
        description="Mint the successor of a token now. The current token is served until then, and stays valid.",
    )
    _add_key(rotate)
    _add_connection(rotate, again=True)
    rotate.set_defaults(run=_commands.rotate)


def _add_ls(commands: "_Commands") -> None:
    ls = commands.add_parser("ls", help="list the live tokens", description="List the live tokens, without their text.")
    ls.add_argument("--client", type=utf8, default="", metavar="CLIENT", help="only tokens of this client")
    ls.add_argument(
        "--expiring", type=duration, metavar="DURATION", help="only tokens that expire within this time, as 1h"
    )
    ls.add_argument(
        "--sort",
        choices=_commands.SORTS,
        default="key",
        help="key: client, audience, scopes (default); expiry: the next to expire first; generation: oldest first",
    )
    form = ls.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON lines")
    form.add_argument("--count", action="store_true", help="print only the number of tokens")
    _add_connection(ls, again=True)
    ls.set_defaults(run=_commands.ls)


def _add_status(commands: "_Commands") -> None:
    status = commands.add_parser(
        "status",
        help="say whether all is well",
        description="Say how the server and its issuers do, on one screen. Exit codes: 0 all is well, 1 something "
        "needs you, 3 out of reach.",
    )
    status.add_argument("--json", action="store_true", help="print everything, as JSON")
    _add_http(status)
    status.set_defaults(page=_status.status)


def _add_top(commands: "_Commands") -> None:
    top = commands.add_parser(
        "top",
        help="show the keys and their tokens, live",
        description="Show the keys of a replica and their tokens, live. q quits, s sorts, / filters. Without a "
        "terminal: one JSON object after another.",
    )
    top.add_argument(
        "--interval", type=positive_duration, default=1.0, metavar="DURATION", help="between two looks (default: 1s)"
    )
    top.add_argument("--count", type=count, default=0, metavar="N", help="without a terminal: stop after N objects")
    _add_http(top)
    top.set_defaults(page=_top.top)


def _add_http(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--http",
        type=utf8,
        metavar="URL",
        default=None,
        help="where the server has [http] listen: http://HOST:PORT, https://HOST:PORT or unix:/PATH "
        f"(default: ${_http.URL_VARIABLE}, else {_http.DEFAULT_URL})",
    )
    _add_connection(command, again=True)


def _add_completion(commands: "_Commands", whole: argparse.ArgumentParser) -> None:
    completion = commands.add_parser(
        "completion",
        help="print a script that completes commands in your shell",
        description='Print a script that completes commands and options. For bash: eval "$(mintonce completion bash)"',
    )
    completion.add_argument("shell", choices=_completion.SHELLS)
    completion.set_defaults(offline=partial(_completion.completion, whole))


def _add_connection(parser: argparse.ArgumentParser, *, again: bool) -> None:
    """Options before the command and after it. `again`: after it, where they win, and have no defaults."""
    parser.add_argument(
        "--target",
        type=utf8,
        metavar="ADDRESS",
        default=argparse.SUPPRESS if again else None,
        help=f"the server, as HOST:PORT or unix:PATH (default: ${_channel.TARGET_VARIABLE}, "
        f"else {_channel.DEFAULT_TARGET})",
    )
    parser.add_argument(
        "--timeout",
        type=positive_duration,
        default=argparse.SUPPRESS if again else _channel.DEFAULT_TIMEOUT,
        metavar="DURATION",
        help="how long a call may take, as 10s (default: 10s)",
    )
    add_credentials(parser)


def _add_key(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "client", type=utf8, metavar="CLIENT", help="the name under which the OAuth client is registered"
    )
    command.add_argument("audience", type=utf8, metavar="AUDIENCE", help="the API; '' for the issuer's default")
    command.add_argument(
        "--scope", action="append", type=utf8, default=[], dest="scopes", metavar="SCOPE", help="repeatable"
    )
