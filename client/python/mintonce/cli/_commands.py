"""What the commands of `mintonce` do. Each prints to standard output; errors go up."""

import argparse
import hashlib
from collections.abc import Callable, Iterator, Mapping
from time import monotonic, sleep

from mintonce._wire import TokenPage, TokenSummary
from mintonce.cli import _input, _output
from mintonce.client import TokenClient
from mintonce.errors import Unavailable


def get(client: TokenClient, args: argparse.Namespace) -> None:
    token = client.get(args.client, args.audience, args.scopes, min_ttl=args.min_ttl)
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


def rotate(client: TokenClient, args: argparse.Namespace) -> None:
    done = client.rotate(args.client, args.audience, args.scopes)
    before = f"replaces generation {done.previous_generation}" if done.previous_generation else "is the first one"
    _output.line(f"generation {done.generation} {before}")


def ls(client: TokenClient, args: argparse.Namespace) -> None:
    incomplete, count = False, 0
    tables = _output.Tables()
    for page in _sorted(client.list_pages(args.client), args.sort):
        incomplete = incomplete or page.incomplete
        tokens = [each for each in page.tokens if args.expiring is None or each.expires_in <= args.expiring]
        count += len(tokens)
        if not args.count:
            for text in map(_output.summary_json, tokens) if args.json else tables.rows(tokens):
                _output.line(text)
    if args.count:
        _output.line(str(count))
    elif not count:
        _output.note(_nothing(args))
    if incomplete:
        _output.note("the list is incomplete: the server could not reach a part of its store")


def _nothing(args: argparse.Namespace) -> str:
    """Why the list may be empty. A server does not say whether a client is registered: its tokens may live on."""
    what = "no live token" if args.expiring is None else f"no live token expires within {args.expiring:.0f} s"
    return f"{what}; is {args.client} the name of a client at this server?" if args.client else what


def _sorted(pages: Iterator[TokenPage], order: str) -> Iterator[TokenPage]:
    """The server sorts by key. Any other order needs all pages first."""
    if order == "key":
        yield from pages
        return
    all_pages = list(pages)
    tokens = sorted((each for page in all_pages for each in page.tokens), key=_ORDERS[order])
    yield TokenPage(tuple(tokens), incomplete=any(page.incomplete for page in all_pages))


_ORDERS: Mapping[str, Callable[[TokenSummary], float]] = {
    "expiry": lambda token: token.expires_in,
    "generation": lambda token: token.generation,
}
SORTS = ("key", *_ORDERS)

_REWATCH_PAUSE = 0.5
