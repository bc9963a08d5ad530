"""Mutants: an issuer that hands out the same token again."""

from mutants.mutant import core

REPETITION = (
    core(
        "a repeated token is news",
        "mint",
        "if repeats and left <= lease.current_left + SAME_END:",
        "if False:",
        "the same token gets number after number, and POST after POST",
        "the_same_token_again",
    ),
    core(
        "a prolonged token is a repetition",
        "mint",
        "if repeats and left <= lease.current_left + SAME_END:",
        "if repeats:",
        "a token that lives longer now is not taken",
        "the_same_token_again",
    ),
    core(
        "a repetition outlives its token",
        "mint",
        "lease, error, while_live=True)",
        "lease, error)",
        "once it was rejected, no mint comes until it would have ended",
        "the_same_token_again",
    ),
    core(
        "a reissued token is like any other",
        "ports",
        "reissued=minted.access_token.fingerprint() == self.rejected,",
        "reissued=False,",
        "callers do not see that the issuer stands by a rejected token",
        "the_same_token_again",
    ),
    core(
        "a reissued token is served as good",
        "broker",
        "obtained.trouble is not None or obtained.token.reissued)",
        "obtained.trouble is not None)",
        "callers do not learn that it was rejected",
        "the_same_token_again",
    ),
    core(
        "a reissued token from memory is served as good",
        "broker",
        "return Served(token, Origin.MEMORY, token.reissued)\n        # In an outage",
        "return Served(token, Origin.MEMORY)\n        # In an outage",
        "callers do not learn that it was rejected",
        "the_same_token_again",
    ),
    core(
        "a reissued token is refused again",
        "mint",
        "        repeats = minted.access_token.fingerprint() == lease.current\n",
        "        if lease.token(minted, key_hash).reissued:\n"
        "            return await self._too_short(key_hash, lease, minted)\n"
        "        repeats = minted.access_token.fingerprint() == lease.current\n",
        "one caller's word takes a key from the fleet for the rest of the token's life",
        "the_same_token_again",
    ),
    core(
        "a reissued token without the store is like any other",
        "outage",
        "reissued = minted.access_token.fingerprint() == entry.rejected",
        "reissued = False",
        "it is not marked in an outage",
        "the_same_token_again",
    ),
    core(
        "a token that gets its number forgets what was rejected",
        "reconcile",
        "if live.access_token.fingerprint() == lease.rejected and not live.reissued",
        "if lease.generation < 0",
        "two questions for a number give a token two, and the second brings it back after its rejection",
        "what_comes_late",
    ),
    core(
        "a token that gets its number is like any other",
        "reconcile",
        "reissued=live.reissued)\n                answer",
        "reissued=False)\n                answer",
        "after the loss of the store's data it is served as good",
        "the_same_token_again",
    ),
)
