"""Mutants of what keeps others out: who may have which token, and for how long."""

from mutants.mutant import Mutant

GRANTED = ("tests/api/test_granted.py", "tests/core/test_policy.py")
PROOF = ("tests/api/test_proof.py", "tests/auth/test_authorities.py", "tests/app/test_access.py")
GRANTS = ("tests/issuer/test_grant.py", "tests/observability/test_event_sinks.py")

POLICY = (
    Mutant(
        "asking for no scope is always allowed",
        "core/policy.py",
        'return not self.scopes or self._scopes.match("")',
        "return True",
        "an issuer that grants everything to a request without scopes gives all of it to any caller",
        GRANTED,
    ),
    Mutant(
        "what was granted is not looked at",
        "calls/authorize.py",
        "        self._allow_grant(self.key, served.token)\n",
        "",
        "a caller gets scopes that its rule does not cover",
        GRANTED,
    ),
    Mutant(
        "a new policy is held against what was asked for only",
        "calls/authorize.py",
        "            self._allow_grant(self.key, self.judged)\n",
        "            pass\n",
        "a watch goes on whose token its rule no longer covers",
        GRANTED,
    ),
    Mutant(
        "scopes of the answer hide those of the token",
        "issuer/response.py",
        "(answered, *map(_names, _claimed(claims)))",
        "((answered,) if answered is not None else tuple(map(_names, _claimed(claims))))",
        "the resource server believes scopes that the policy was not held against",
        GRANTS,
    ),
    Mutant(
        "any audience will do",
        "issuer/response.py",
        "if any(name not in named for name in requested):",
        "if requested and not named:",
        "a token for another audience is shared though the issuer is set to refuse it",
        GRANTS,
    ),
    Mutant(
        "a proof is looked at once",
        "calls/proof.py",
        "(version := self._version_of()) != self._version",
        "(version := self._version) != self._version",
        "a watch goes on after the key of its caller was removed",
        PROOF,
    ),
    Mutant(
        "the proof of one is taken for that of another",
        "calls/proof.py",
        "if caller.name != self._caller.name:",
        "if not caller.name:",
        "a watch continues under the rules of another caller",
        PROOF,
    ),
    Mutant(
        "no proof after a wait",
        "calls/tokens.py",
        "                scope.check()  # it may have taken a while\n",
        "",
        "a caller whose key was removed gets the token that it waited for",
        PROOF,
    ),
    Mutant(
        "authorities are never removed",
        "auth/authorities.py",
        "self._was_one_removed |= not set(before) <= set(self._now)",
        "self._was_one_removed |= False",
        "open connections and resumed sessions of a removed authority go on",
        PROOF,
    ),
    Mutant(
        "fetched keys that are not announced",
        "reload/access.py",
        "                self.access_changed()\n",
        "                pass\n",
        "a watch goes on after the key of its JWT left the issuer's set",
        PROOF,
    ),
    Mutant(
        "an open file is taken",
        "reload/files.py",
        "            _usable(check, path)\n",
        "            pass\n",
        "a secret that others can read or write is loaded",
        PROOF,
    ),
)
