"""`mintonced keygen`, `apikey` and `reseal`: keys that seal tokens, and keys that identify callers."""

import argparse
import asyncio
import sys
from pathlib import Path

from mintonce_server import app
from mintonce_server.auth.api_keys import new_api_key
from mintonce_server.common.arguments import seconds
from mintonce_server.common.clock import SystemClock
from mintonce_server.common.files import atomic_write
from mintonce_server.config import load
from mintonce_server.core.errors import MintonceError
from mintonce_server.store.keyring import new_keyring, with_new_key


class KeyFileError(MintonceError):
    """A key file cannot be replaced."""


def add_keygen(parser: argparse.ArgumentParser) -> None:
    """The arguments of `keygen`."""
    parser.add_argument("--rotate", type=Path, metavar="FILE", help="add a new key before those in FILE")
    parser.add_argument(
        "--after",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="time until the new key is used to seal; default: %(default)g",
    )


def run_keygen(options: argparse.Namespace) -> int:
    """Print a new key file; with --rotate, add a key to a file, which is replaced atomically."""
    if options.rotate is None:
        print(new_keyring(), end="")
        return 0
    start = SystemClock().unix() + options.after
    try:
        atomic_write(options.rotate, lambda text: with_new_key(text, start))
    except OSError as error:
        raise KeyFileError(
            f"{options.rotate} cannot be replaced: {error.strerror}", remedy="Name a file that this user owns."
        ) from error
    print(f"{options.rotate} has a new key. Replicas use it in {options.after:g} s: distribute the file before.")
    return 0


def add_apikey(parser: argparse.ArgumentParser) -> None:
    """The arguments of `apikey`."""
    parser.add_argument("name", metavar="NAME", help="the policy names this caller key:NAME")


def run_apikey(options: argparse.Namespace) -> int:
    """Print the key, for the caller, to stdout, and its hash, for the server's file, to stderr."""
    key, line = new_api_key(options.name)
    print(key.reveal())
    print(f"Add to the table [keys] of api_keys_file:\n{line}", file=sys.stderr)
    return 0


def run_reseal(options: argparse.Namespace) -> int:
    """Seal all tokens in the store with the newest key."""
    done = asyncio.run(app.reseal(load(options.config)))
    print(f"resealed: {done.resealed}; already with the newest key: {done.already}; unreadable: {done.unreadable}")
    return 1 if done.unreadable else 0
