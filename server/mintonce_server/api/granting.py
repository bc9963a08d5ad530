"""Whether the policy covers what the issuer granted."""

from collections.abc import Sequence

from mintonce_server.core.key import TokenKey
from mintonce_server.core.policy import Act, Misses, Policy


def judge_grant(policy: Policy, caller: str, act: Act, key: TokenKey, granted: tuple[str, ...]) -> tuple[str, str]:
    """The rule that allows the caller a token with these scopes, and ""; or "", and what is missing, for people.

    Some issuers grant everything when nothing is asked for.
    """
    question = (caller, act, key.client, key.audience, key.scopes, granted)
    decision = policy.decide(*question)
    return (decision.rule, "") if decision.allowed else ("", _missing(policy.near_misses(*question)))


def _missing(misses: Sequence[Misses]) -> str:
    """By the rule that lacks the least, among those that allow the rest."""
    lacks = [miss.granted for miss in misses if not (miss.act or miss.client or miss.audience or miss.scopes)]
    fewest = min(lacks, key=len) if lacks else ()
    return (
        f"granted, and covered by no rule: {' '.join(fewest)}. "
        "Name them among the rule's scopes, or grant fewer at the issuer"
    )
