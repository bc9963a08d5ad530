"""What the commands of `mintonce` do. Each prints to standard output; errors go up."""

import argparse
import hashlib
from time import monotonic, sleep

from mintonce.cli import _input, _output
from mintonce.client import TokenClient
from mintonce.errors import Unavailable


def get(client: TokenClient, args: argparse.Namespace) -> None:
    token = client.get(args.client, args.audience, args.scopes, min_remaining=args.min_remaining)
    if args.json:
        _output.line(_output.as_json(token, text=True))
    else:
        _output.line(f"Authorization: {token.header}" if args.header else token.access_token)


def watch(client: TokenClient, args: argparse.Namespace) -> None:
    seen, newest = 0, 0
    answered_at = monotonic()
    while True:
        try:
            with client.watch(args.client, args.audience, args.scopes) as tokens:
                for token in tokens:
                    answered_at = monotonic()
                    # A new watch begins with the live token, which may be known already.
                    if token.generation != newest:
                        seen, newest = seen + 1, token.generation
                        _output.line(_output.watched(token, json=args.json, text=args.show_token))
                    if seen == args.count:
                        return
        except Unavailable:
            # A replica that drains or restarts ends its watches: another one goes on. Not so one that was never there.
            if not seen or monotonic() - answered_at > args.timeout:
                raise
        sleep(_REWATCH_PAUSE)


def reject(client: TokenClient, args: argparse.Namespace) -> None:
    key = (args.client, args.audience, args.scopes)
    if args.token_stdin:
        was_current = client.reject(*key, fingerprint=hashlib.sha256(_input.token()).digest())
        name = "the token"
    else:
        generation: int = client.get(*key).generation if args.generation is None else args.generation
        was_current = client.reject(*key, generation=generation)
        name = f"generation {generation}"
    _output.line(f"{name} was current and is rejected" if was_current else f"{name} was not current: nothing to reject")


def ls(client: TokenClient, args: argparse.Namespace) -> None:
    listed = client.list_tokens(args.client)
    for text in _output.listed_json(listed) if args.json else _output.table(listed):
        _output.line(text)
    if listed.truncated:
        _output.note(f"more are live than these {len(listed.tokens)}: name a client with --client")


_REWATCH_PAUSE = 0.5
