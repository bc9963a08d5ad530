"""`mintonced explain`: which rule of the policy allows a call, or why each rule does not."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from mintonce_server.config import Settings, load, visible
from mintonce_server.config.policy_file import read_policy
from mintonce_server.core.errors import MintonceError
from mintonce_server.core.key import TokenKey, audience_names
from mintonce_server.core.policy import Act, Misses, Policy

ALLOWED: Final = 0
DENIED: Final = 1

ONE_NAME: Final = 'If the audience is one name (several_audiences = "no"):'
SEVERAL_NAMES: Final = "If its spaces separate several:"

_KINDS: Final = ("spiffe://", "jwt:", "key:", "anonymous")


class NoPolicy(MintonceError):
    """The settings name no policy."""


def add_explain(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("caller", metavar="CALLER", help="spiffe://DOMAIN/PATH, jwt:ISSUER:SUBJECT, key:NAME")
    parser.add_argument("client", metavar="CLIENT", help="name of the OAuth client")
    parser.add_argument("audience", metavar="AUDIENCE", help='audience of the token; "" for none')
    parser.add_argument(
        "--scope", action="append", default=[], metavar="SCOPE", help="requested scope; may be repeated"
    )
    parser.add_argument(
        "--granted",
        action="append",
        default=[],
        metavar="SCOPE",
        help="granted scope, if the issuer grants others than requested; may be repeated",
    )
    parser.add_argument(
        "--act", action="append", choices=[act.value for act in Act], help="operation; may be repeated; default: get"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--policy", type=Path, metavar="FILE", help="a policy file, deployed or not")
    source.add_argument("--config", type=Path, metavar="FILE", help="the server's TOML file; default: $MINTONCE_CONFIG")


def run_explain(options: argparse.Namespace) -> int:
    """Print the report. 0: everything is allowed; 1: something is not. Raises MintonceError for invalid arguments."""
    key = TokenKey.of(options.client, options.audience, options.scope)
    acts = [Act(act) for act in options.act or ("get",)]
    policies, settings = _sources(options)
    others = [] if settings is None else [f"also: {text}" for text in obstacles(key, settings)]
    question, granted = (key.client, key.audience, key.scopes), tuple(sorted(set(options.granted)))
    for heading, policy in policies.items():
        report = explain(policy, options.caller, *question, acts, granted)
        sys.stdout.writelines(f"{line}\n" for line in ([heading] if heading else []))
        sys.stdout.writelines(f"{line}\n" for line in report)
    sys.stdout.writelines(f"{line}\n" for line in others)
    allowed = all(
        policy.decide(options.caller, act, *question, granted).allowed for policy in policies.values() for act in acts
    )
    return ALLOWED if allowed and not others else DENIED


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
            yield visible(f"  rule {miss.rule.name} matches this caller, but {_lacks(miss, act)}")
        if not misses:
            yield f"  no rule matches this caller{_hint(caller)}"


def _lacks(miss: Misses, act: Act) -> str:
    lacks = [
        f"does not allow {act}" if miss.act else "",
        "not for this client" if miss.client else "",
        "not for this audience" if miss.audience else "",
        f"not for the scope{'s'[: len(miss.scopes) > 1]} {' '.join(miss.scopes)}" if miss.scopes else "",
        'not without a scope (add "" to its scopes, if intended)' if miss.no_scope else "",
        f"not for the granted scope{'s'[: len(miss.granted) > 1]} {' '.join(miss.granted)}" if miss.granted else "",
    ]
    return ", ".join(filter(None, lacks))


def _hint(caller: str) -> str:
    if caller.startswith(_KINDS):
        return ""
    return ": names of callers are spiffe://DOMAIN/PATH, jwt:ISSUER:SUBJECT or key:NAME"


def _sources(options: argparse.Namespace) -> tuple[dict[str, Policy], Settings | None]:
    """The policy by the heading of its report, and the settings if they were read.

    A file of rules does not say whether spaces separate several audiences of this client. Then there are two.
    """
    if options.policy is not None:
        policy = read_policy(options.policy)
        if " " not in options.audience:
            return {"": policy}, None
        return {ONE_NAME: policy, SEVERAL_NAMES: read_policy(options.policy, with_several={options.client})}, None
    settings = load(options.config)
    if settings.policy_file is None:
        raise NoPolicy(
            "no policy_file is set: everyone who can reach the server may get everything",
            remedy="Set policy_file, or name a file with --policy.",
        )
    return {"": policy_of(settings, settings.policy_file)}, settings


def policy_of(settings: Settings, path: Path) -> Policy:
    """The policy in a file, for the clients of these settings. Raises SettingsError."""
    return read_policy(path, settings.clients.keys(), settings.with_several_audiences)


def audiences_of(key: TokenKey, settings: Settings) -> list[str]:
    """The names of the audiences that the key is for."""
    return sorted(set(audience_names(key.audience, several=key.client in settings.with_several_audiences)))


def obstacles(key: TokenKey, settings: Settings) -> Iterator[str]:
    """Obstacles outside of the policy."""
    if (client := settings.clients.get(key.client)) is None:
        yield f"no client is registered as {key.client}"
        return
    if "*" not in client.audiences and not set(audiences_of(key, settings)) <= set(client.audiences):
        yield f"client {key.client} may not get tokens for this audience; see `audiences` in its settings"
