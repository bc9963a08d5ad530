"""Mutants: who may have what was granted, and when a caller is proved again. More of them: of_policy.py."""

from mutants.mutant import Mutant


def guard(name: str, file: str, old: str, new: str, breaks: str, *tests: str) -> Mutant:
    """A mutant of what stands between a caller and a token; `tests` below tests/."""
    return Mutant(name, file, old, new, breaks, tuple(f"tests/{test}" for test in tests))


GRANTS = (
    guard(
        "asking for no scope is free",
        "core/policy.py",
        "            and (bool(scopes) or self._allows_no_scope())\n",
        "",
        "an issuer that grants everything then gives it to a caller of two scopes",
        "core/test_policy.py",
    ),
    guard(
        "what was granted is not measured",
        "core/policy.py",
        "            and all(map(self._scopes.match, granted))\n",
        "",
        "a caller gets scopes that no rule gives it",
        "core/test_policy.py",
    ),
    guard(
        "a decision without what was granted",
        "core/policy.py",
        "question = (act, client, audience, tuple(scopes), granted)",
        "question = (act, client, audience, tuple(scopes), ())",
        "a caller gets scopes that no rule gives it",
        "core/test_policy.py",
    ),
)

PROOFS = (
    guard(
        "a watch is not proved again",
        "calls/authorize.py",
        "left = self.proof.check()",
        "left = self.proof.seconds_left()",
        "a caller whose key was taken out goes on being sent tokens",
        "api/test_proof.py",
    ),
    guard(
        "the first token of a watch",
        "calls/tokens.py",
        "                async for served in tokens:\n                    scope.check()\n",
        "                async for served in tokens:\n",
        "a caller whose key was taken out meanwhile gets the token",
        "api/test_proof.py",
    ),
    guard(
        "changed API keys wake no watch",
        "reload/access.py",
        "lambda content: parse_api_keys(content[0]), self.access_changed)",
        "lambda content: parse_api_keys(content[0]))",
        "watches go on until the next token",
        "app/test_access.py",
    ),
    guard(
        "changed API keys are the same",
        "reload/access.py",
        "parse_api_keys(content[0]), self.access_changed)\n            self.identities.follow(keys)\n",
        "parse_api_keys(content[0]), self.access_changed)\n",
        "watches that are woken are not proved again",
        "app/test_access.py",
    ),
    guard(
        "fetched keys are the same",
        "reload/access.py",
        "        self.identities.follow(source)\n        return source",
        "        return source",
        "a signing key that left the set goes on proving callers",
        "app/test_access.py",
    ),
)

IDENTITIES = GRANTS + PROOFS
