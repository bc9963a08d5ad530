"""Wrong versions of what a replica does: with its flight, and with the token that it has."""

from model import fleet, keeping, laws
from model.mutant import Mutant
from model.world import Budgets

REPLICAS = (
    Mutant(
        "a replica asks again under the nonce whose POST is spent",
        "yield Step(label, over(after, index, replica.again()))",
        "yield Step(label, after.with_replica(index, replica.again()))",
        laws.ONE_POST,
        Budgets(rejects=1, stalls=1, failovers=1),
        fleet,
    ),
    Mutant(
        "a replica with old credentials asks again when refused",
        ' or reply.word == "OLD_CREDENTIALS":',
        ":",
        laws.MINT_LAW,
        Budgets(rotations=1, crashes=1),
        fleet,
    ),
    Mutant(
        "a dead token holds a place",
        "if held.live and token.generation <= held.generation:",
        "if held.generation and token.generation <= held.generation:",
        laws.FINISH,
        Budgets(alone=1, expiries=1),
        keeping,
    ),
    Mutant(
        "a replica bars the caller's number",
        "bars(world.replicas[index], answer.generation, len(world.posts))), answer",
        "bars(world.replicas[index], generation, len(world.posts))), answer",
        laws.WITHDRAWN,
        Budgets(alone=1, rejects=1),
        keeping,
    ),
    Mutant(
        "a replica believes a number that never was",
        '    if answer.word == "TOO_SOON":\n        return world, answer\n',
        '    if answer.word == "UNKNOWN":\n'
        "        return world.with_replica(index, bars(world.replicas[index], generation, 0)), answer\n",
        laws.BARRED,
        Budgets(rejects=1),
        keeping,
    ),
    Mutant(
        "a replica rejects its neighbours' tokens",
        "    if not world.replicas[index].held.live and _is_successor(replica, recorded(record)):\n"
        "        return adopt(acts, world, index, recorded(record))\n"
        "    return acts.barrier(world, index)[0]",
        "    return acts.reject(world, record.generation)[0]",
        laws.MINT_LAW,
        Budgets(clocks=1, rejects=2, write_backs=3),
        keeping,
    ),
    Mutant(
        "a provisional number in the store",
        "    if held.provisional:\n        return adopt",
        "    if False:\n        return adopt",
        laws.ADOPTED,
        Budgets(alone=1, rejects=1),
        keeping,
    ),
    Mutant(
        "a number for a text that the issuer stands by, unmarked",
        "reissued = before.reissued or before.text == replica.rejected_text",
        "reissued = before.reissued",
        laws.TEXT,
        Budgets(alone=1, rejects=1, repeats=1),
        keeping,
    ),
    Mutant(
        "a token that the store does not take is served on after its rejection",
        "    if held.called(generation):",
        "    if False:",
        laws.WITHDRAWN,
        Budgets(alone=1, rejects=1),
        keeping,
    ),
    Mutant(
        "a token is not known by the number that it had",
        "    if held.called(generation):",
        "    if held.generation == generation:",
        laws.WITHDRAWN,
        Budgets(alone=1, rejects=1, rotations=1, losses=1),
        keeping,
    ),
    Mutant(
        "a rejection of what the store lost bars nothing there",
        'if is_held and answer.word in ("OTHER", "UNKNOWN"):',
        'if is_held and answer.word == "UNKNOWN":',
        laws.TEXT,
        Budgets(failovers=1, rejects=1, repeats=1),
        keeping,
    ),
    Mutant(
        "a successor with a low number falls",
        "token.text != replica.barred_text and token.born > replica.barred_at",
        "False",
        laws.SUCCESSOR,
        Budgets(clocks=1, rejects=1),
        keeping,
    ),
    Mutant(
        "what was rejected gets a new number",
        "token.text != replica.barred_text and token.born > replica.barred_at",
        "token.text != replica.barred_text",
        laws.TEXT,
        Budgets(failovers=1, rejects=1),
        keeping,
    ),
    Mutant(
        "what the issuer repeats gets a new number",
        "token.text != replica.barred_text and token.born > replica.barred_at",
        "token.born > replica.barred_at",
        laws.TEXT,
        Budgets(clocks=1, rejects=1, repeats=1),
        keeping,
    ),
    Mutant(
        "a rejection while a number is given is forgotten",
        "if isinstance(answer, Committed) and before.provisional and before.generation <= replica.barred:",
        "if False:",
        laws.TEXT,
        Budgets(alone=1, rejects=2),
        keeping,
    ),
    Mutant(
        "the live text again is a new token",
        "if text == replica.live_text:",
        "if False:",
        laws.SECOND,
        Budgets(refreshes=1, repeats=1),
        fleet,
    ),
)
