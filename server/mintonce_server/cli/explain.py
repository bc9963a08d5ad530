"""`mintonced explain`: which rule of the policy decides, or what keeps each rule from allowing it."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from mintonce_server.config import load, visible
from mintonce_server.config.policy_file import read_policy
from mintonce_server.core.errors import MintonceError
from mintonce_server.core.key import TokenKey
from mintonce_server.core.policy import Act, Misses, Policy

ALLOWED: Final = 0
DENIED: Final = 1

_KINDS: Final = ("spiffe://", "jwt:", "key:", "anonymous")


class NoPolicy(MintonceError):
    """There are settings, but no policy to explain."""


def add_explain(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("caller", metavar="CALLER", help="spiffe://DOMAIN/PATH, jwt:ISSUER:SUBJECT, key:NAME")
    parser.add_argument("client", metavar="CLIENT", help="name of the OAuth client")
    parser.add_argument("audience", metavar="AUDIENCE", help='what the token is for; "" for none')
    parser.add_argument("--scope", action="append", default=[], metavar="SCOPE", help="may be repeated")
    parser.add_argument(
        "--granted",
        action="append",
        default=[],
        metavar="SCOPE",
        help="what the issuer grants, where that is not what was asked for; may be repeated",
    )
    parser.add_argument(
        "--act", action="append", choices=[act.value for act in Act], help="may be repeated; default: get"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--policy", type=Path, metavar="FILE", help="a policy file, in use or not yet")
    source.add_argument("--config", type=Path, metavar="FILE", help="the server's TOML file; default: $MINTONCE_CONFIG")


def run_explain(options: argparse.Namespace) -> int:
    """Print the report. 0: all of it is allowed; 1: it is not. Raises MintonceError for what cannot be asked."""
    key = TokenKey.of(options.client, options.audience, options.scope)
    acts = [Act(act) for act in options.act or ("get",)]
    policy, audiences = _sources(options)
    hitches = [] if audiences is None else list(_hitches(key, audiences))
    question, granted = (key.client, key.audience, key.scopes), tuple(sorted(set(options.granted)))
    report = explain(policy, options.caller, *question, acts, granted)
    sys.stdout.writelines(f"{line}\n" for line in (*report, *hitches))
    allowed = all(policy.decide(options.caller, act, *question, granted).allowed for act in acts)
    return ALLOWED if allowed and not hitches else DENIED


def explain(
    policy: Policy,
    caller: str,
    client: str,
    audience: str,
    scopes: Sequence[str],
    acts: Sequence[Act],
    granted: tuple[str, ...] = (),
) -> Iterator[str]:
    """The report, line by line."""
    for act in acts:
        decision = policy.decide(caller, act, client, audience, scopes, granted)
        if decision.allowed:
            yield visible(f"{act}: allowed by rule {decision.rule}")
            continue
        yield f"{act}: denied"
        misses = policy.near_misses(caller, act, client, audience, scopes, granted)
        for miss in misses:
            yield visible(f"  rule {miss.rule.name} is for this caller, but {_lacks(miss, act)}")
        if not misses:
            yield f"  no rule is for this caller{_hint(caller)}"


def _lacks(miss: Misses, act: Act) -> str:
    lacks = [
        f"does not allow {act}" if miss.act else "",
        "not for this client" if miss.client else "",
        "not for this audience" if miss.audience else "",
        f"not for the scope{'s'[: len(miss.scopes) > 1]} {' '.join(miss.scopes)}" if miss.scopes else "",
        'not without a scope (put "" among its scopes, if that is meant)' if miss.no_scope else "",
        f"not for the granted scope{'s'[: len(miss.granted) > 1]} {' '.join(miss.granted)}" if miss.granted else "",
    ]
    return ", ".join(filter(None, lacks))


def _hint(caller: str) -> str:
    if caller.startswith(_KINDS):
        return ""
    return ": callers are called spiffe://DOMAIN/PATH, jwt:ISSUER:SUBJECT or key:NAME"


def _sources(options: argparse.Namespace) -> tuple[Policy, Mapping[str, Sequence[str]] | None]:
    """The policy; and, when the settings were read, for each client the audiences that it may have."""
    if options.policy is not None:
        return read_policy(options.policy), None
    settings = load(options.config)
    if settings.policy_file is None:
        raise NoPolicy(
            "no policy_file is set: everybody who reaches the server may have everything",
            remedy="Set policy_file, or name a file with --policy.",
        )
    audiences = {name: client.audiences for name, client in settings.clients.items()}
    return read_policy(settings.policy_file, audiences.keys()), audiences


def _hitches(key: TokenKey, audiences: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What is in the way besides the policy."""
    if key.client not in audiences:
        yield f"besides: no client is registered as {key.client}"
    elif key.audience not in audiences[key.client] and "*" not in audiences[key.client]:
        yield f"besides: client {key.client} may not have tokens for this audience; see `audiences` in its settings"
