"""Mutants: whose refusal it is, and what is left of a key that ended."""

from mutants.mutant import Mutant, core, lua, lua_alone

REFUSALS = (
    lua(
        "a refusal for every credential",
        "fail",
        "if ARGV[10] == '' then",
        "if true then",
        "a mended secret is refused until the back-off of the old one ends",
    ),
    lua(
        "a refusal for no credential",
        "acquire",
        "if ARGV[7] ~= '1' and (counts or pause > 0 and pause <= tonumber(ARGV[8])) then",
        "if ARGV[7] ~= '1' and counts then",
        "a wrong secret is shown to the issuer at each call",
    ),
    lua(
        "a refusal that takes the place of another credential's",
        "fail",
        "'no:' .. ARGV[10], ends",
        "'no:', ends",
        "replicas with two wrong secrets ask the issuer in turn for ever",
    ),
    lua_alone(
        "refusals that pile up",
        "fail",
        "if past and tonumber(past) <= now then",
        "if false then",
        "each wrong secret leaves a field behind",
    ),
    lua_alone(
        "a key that is remembered for a month",
        "commit",
        "local remembered = exp - now + ARGV[11]",
        "local remembered = 2678400000",
        "keys that ended fill the store",
    ),
    lua_alone(
        "a rejection that shortens what is known",
        "reject",
        "if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[3], ARGV[3]) end",
        "redis.call('PEXPIRE', KEYS[3], ARGV[3])",
        "a barrier ends before what it bars",
    ),
)

CREDENTIALS = (
    core(
        "a lone mint that heeds the refusal of another secret",
        "outage",
        "if past is None or (past.failure.of_proof and past.proof != proof):",
        "if past is None:",
        "without the store a mended secret waits for the back-off of the old one",
        "minting",
    ),
    core(
        "what was asked for once is refreshed",
        "refresh",
        "(entry.asked_again and",
        "(",
        "a key that is used once costs two POSTs",
        "broker_upkeep",
    ),
    core(
        "a long wait beside a live token",
        "token",
        "return min(patience, self.remaining(now) / 2)",
        "return self.remaining(now) / 2",
        "a caller who wants more life than is left waits for an issuer that hangs",
        "token",
    ),
    Mutant(
        "a token that is over lives for as long as is stated",
        "issuer/lifetime.py",
        "    if sent is not None and expiry <= sent:\n        return None\n",
        "    if sent is not None and expiry <= sent:\n        return stated\n",
        "a token is served past its own end",
        ("tests/issuer/test_answer.py",),
    ),
    Mutant(
        "whole seconds that are taken for exact ones",
        "issuer/lifetime.py",
        "return max(seconds - WHOLE_SECOND, seconds / 2)",
        "return seconds",
        "a token is served past its own end",
        ("tests/issuer/test_answer.py",),
    ),
    Mutant(
        "a pause that only counts with 503",
        "issuer/refusal.py",
        "            remedy=remedy_of_outage(refused.auth),\n            retry_after=retry_after(headers, now_unix),\n",
        "            remedy=remedy_of_outage(refused.auth),\n"
        "            retry_after=retry_after(headers, now_unix) if status == 503 else None,\n",
        "an issuer that asks for a pause with 500 gets none",
        ("tests/issuer/test_refusal.py",),
    ),
    Mutant(
        "one fingerprint for all secrets",
        "issuer/auth.py",
        "return _digest(*sorted(secret.sha256() for secret in self.secrets.in_order()), *_chain(self.certificate))",
        "return _digest()",
        "a mended secret passes for the one that was refused",
        ("tests/issuer/test_authentication.py",),
    ),
)
