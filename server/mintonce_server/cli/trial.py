"""`mintonced check --mint CLIENT AUDIENCE`: mints one token, and says what was granted. Neither stores nor shows it."""

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TextIO

from mintonce_server import app
from mintonce_server.cli.explain import audiences_of, obstacles, policy_of
from mintonce_server.config import Settings, load, visible
from mintonce_server.core.errors import IssuerError, MintonceError
from mintonce_server.core.key import MAX_AUDIENCE, TokenKey
from mintonce_server.core.policy import Act, Policy
from mintonce_server.core.text import printable
from mintonce_server.core.token import Minted
from mintonce_server.issuer.remedies import SEE_LOG
from mintonce_server.issuer.response import claims_of

FINE: Final = 0
FAULTY: Final = 1
_MAX_CLAIMS: Final = 4000


class NoTrial(MintonceError):
    """The mint cannot be tried, or was not wanted."""


def add_trial(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "--mint",
        nargs=2,
        metavar=("CLIENT", "AUDIENCE"),
        help="then mint one token, after a question, and say what was granted; it is neither stored nor shown",
    )
    parser.add_argument("--scope", action="append", default=[], metavar="SCOPE", help="with --mint: may be repeated")
    parser.add_argument(
        "--unknown-audience",
        action="store_true",
        help="with --mint: mint one more, for an audience that does not exist, to see whether the issuer checks it",
    )
    parser.add_argument("--yes", action="store_true", help="with --mint: do not ask")


def run_trial(options: argparse.Namespace) -> int:
    """Print the report. 0: a token was minted; 1: none. Raises MintonceError for what cannot be tried."""
    client, audience = options.mint
    settings = load(options.config)
    key = TokenKey.of(client, audience, options.scope)
    _check_client(settings, key)
    _ask(settings, key, 2 if options.unknown_audience else 1, is_agreed=options.yes)
    return asyncio.run(_try(settings, key, sys.stdout, with_unknown=options.unknown_audience))


def _check_client(settings: Settings, key: TokenKey) -> None:
    if key.client not in settings.clients:
        raise NoTrial(
            f"no client is registered as {key.client}", remedy=f"Known names: {', '.join(sorted(settings.clients))}."
        )
    for obstacle in obstacles(key, settings):
        raise NoTrial(obstacle, remedy="See `audiences` in its settings.")


def _ask(settings: Settings, key: TokenKey, tokens: int, *, is_agreed: bool) -> None:
    issuer = settings.clients[key.client].issuer
    if is_agreed:
        return
    if sys.stdin is None or not sys.stdin.isatty():  # pyright: ignore[reportUnnecessaryComparison] - None if closed
        raise NoTrial("minting needs your agreement, and there is no terminal to ask at", remedy="Add --yes.")
    what = "one token" if tokens == 1 else f"{tokens} tokens"
    print(visible(f"\nThis mints {what} at issuer {issuer}, which counts there like any other. Mint? [y/N] "), end="")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise NoTrial("nothing was minted", remedy="")


async def _try(settings: Settings, key: TokenKey, out: TextIO, *, with_unknown: bool) -> int:
    policy = None if settings.policy_file is None else policy_of(settings, settings.policy_file)
    async with app.issuer_of(settings, key.client) as issuer:
        try:
            minted = await issuer.mint(key)
        except IssuerError as error:
            out.writelines(f"{line}\n" for line in report_failure(error))
            return FAULTY
        out.writelines(f"{line}\n" for line in report_minted(key, minted, settings, policy))
        if with_unknown:
            unknown = TokenKey.of(key.client, f"urn:mintonce:unknown:{secrets.token_hex(8)}", key.scopes)
            try:
                found: Minted | IssuerError = await issuer.mint(unknown)
            except IssuerError as error:
                found = error
            out.writelines(f"{line}\n" for line in report_unknown(unknown, found))
    return FINE


def report_failure(error: IssuerError) -> Iterator[str]:
    """Why nothing was minted, with the issuer's own words."""
    yield _row("fault", str(error))
    if error.said:
        yield _row("", f"the issuer says: {error.said}")
    yield _row("", f"→ {error.remedy.removesuffix(SEE_LOG).rstrip()}")


def report_minted(key: TokenKey, minted: Minted, settings: Settings, policy: Policy | None) -> Iterator[str]:
    """What was granted, and who may have it."""
    text = minted.access_token.reveal()
    claims = claims_of(text)
    yield _row("minted", f"a token that lives {minted.lifetime:.0f} s")
    yield _row("kind", f"JWT; claims: {_shown(claims)}" if claims else f"opaque, {len(text)} characters")
    yield _row("audience", _audience(key, minted, settings))
    yield _row("scopes", f"requested: {_names(key.scopes)}; granted: {_names(minted.scopes)}")
    for line in _policy(key, audiences_of(key, settings), minted, policy):
        yield _row("policy", line)


def report_unknown(unknown: TokenKey, found: Minted | IssuerError) -> Iterator[str]:
    """What the issuer does with an audience that it does not know."""
    if isinstance(found, IssuerError):
        yield _row("unknown", f"an audience that does not exist is refused: {found}")
        return
    if unknown.audience in found.audience:
        yield _row("unknown", "an audience that does not exist is granted: the issuer takes any name")
        yield _row("", "→ A typing error in an audience then goes unnoticed. List the audiences of each client.")
        return
    kind = f"for {_names(found.audience)}" if found.audience else "whose audience cannot be seen"
    yield _row("unknown", f"an audience that does not exist is ignored: the issuer grants a token {kind}")
    yield _row(
        "",
        "→ A typing error in an audience then goes unnoticed. List the audiences of each client; with JWTs, set "
        'audience_check = "refuse".',
    )


def _shown(claims: Mapping[str, object]) -> str:
    text = json.dumps({name: _whole(value) for name, value in claims.items()})
    return text if len(text) <= _MAX_CLAIMS else f"{text[:_MAX_CLAIMS]}..."


def _whole(value: object) -> object:
    """Every number was read as a float."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _audience(key: TokenKey, minted: Minted, settings: Settings) -> str:
    issuer = settings.issuers[settings.clients[key.client].issuer]
    sent = f"requested: {key.audience or 'none'}"
    if key.audience and issuer.audience_parameter == "none":
        sent += ' (not sent: audience_parameter = "none")'
    if not minted.audience:
        return f"{sent}; granted: cannot be seen in the token"
    asked = {printable(name, MAX_AUDIENCE) for name in audiences_of(key, settings)}
    differs = bool(key.audience) and not asked <= set(minted.audience)
    return f"{sent}; granted: {_names(minted.audience)}" + (", WHICH DIFFERS" if differs else "")


def _policy(key: TokenKey, names: Sequence[str], minted: Minted, policy: Policy | None) -> Iterator[str]:
    if policy is None:
        yield "none: every caller may have it"
        return
    granted = () if minted.scopes == key.scopes else minted.scopes
    for name in names:
        what = f"{name}: " if len(names) > 1 else ""
        rules = [rule for rule in policy.rules if rule.allows(Act.GET, key.client, name, key.scopes, granted)]
        for rule in rules:
            yield f"{what}rule {rule.name} allows {', '.join(sorted(rule.may))} to {', '.join(rule.callers)}"
        if not rules:
            yield f"{what}no rule allows it to any caller; `mintonced explain` says why for each"
    if len(names) > 1:
        yield "a caller needs all of these audiences"


def _names(names: Sequence[str]) -> str:
    return " ".join(names) or "none"


def _row(label: str, text: str) -> str:
    return visible(f"  {label:<9}{text}")
