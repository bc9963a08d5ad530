"""Wrong versions of the scripts' model: provisional and unknown numbers, barriers, a token that the issuer repeats."""

from model import laws
from model.mutant import Mutant
from model.world import Budgets

NUMBERS = (
    Mutant(
        "a number that waits for the issuer",
        "    if shut and not adopt:",
        "    if shut:",
        laws.ADOPTED,
        Budgets(alone=1, failures=1),
    ),
    Mutant(
        "a provisional number that is not stored",
        "provisional=token.provisional,",
        "provisional=0,",
        laws.NAMED,
        Budgets(alone=1, rejects=1),
    ),
    Mutant(
        "a provisional number that names nothing",
        "generation not in (record.generation, record.provisional):",
        "generation != record.generation:",
        laws.NAMED,
        Budgets(alone=1, rejects=1),
    ),
    Mutant(
        "a rejection by a provisional number, said again",
        "rejected_as=record.provisional)",
        "rejected_as=0)",
        laws.REPEATED,
        Budgets(alone=1, rejects=1),
    ),
    Mutant(
        "a rejection that answers with the caller's number",
        'Outcome(State(None, None, meta), Rejection("CURRENT", record.generation)',
        'Outcome(State(None, None, meta), Rejection("CURRENT", generation)',
        laws.REPEATED,
        Budgets(alone=1, rejects=1),
    ),
    Mutant(
        "a generation that never was is one of many",
        'Rejection("UNKNOWN")',
        'Rejection("OTHER")',
        laws.NEVER_WAS,
        Budgets(rejects=1),
    ),
    Mutant(
        "a generation that never was moves the barrier",
        'return Outcome(state, Rejection("UNKNOWN"))',
        'return Outcome(State(record, None, meta._replace(barrier=generation)), Rejection("UNKNOWN"))',
        laws.NEVER_WAS,
        Budgets(rejects=1),
    ),
    Mutant(
        "a generation that was given out is unknown",
        "if generation > max(newest, meta.generation, meta.barrier):",
        "if generation > newest:",
        laws.GIVEN_OUT,
        Budgets(rejects=1, expiries=1),
    ),
    Mutant(
        "a back-off that outlives the live token that caused it",
        " and (row or not meta.while_live)",
        "",
        laws.WHILE_LIVE,
        Budgets(refreshes=1, repeats=1, rejects=1),
    ),
    Mutant(
        "a failure that does not say what it lasts for",
        "until_version=version, while_live=while_live)",
        "until_version=version, while_live=False)",
        laws.WHILE_LIVE,
        Budgets(refreshes=1, repeats=1, rejects=1),
    ),
    Mutant(
        "a lease that does not say what is live",
        'live = (row.print, row.expiry - now) if row else ("", 0)',
        'live = ("", 0)',
        laws.TOLD,
        Budgets(refreshes=1, repeats=1),
    ),
    Mutant(
        "a barrier that may go down",
        "if meta.barrier >= generation:",
        "if meta.barrier == generation:",
        laws.ONE_FALL,
        Budgets(rejects=2),
    ),
    Mutant(
        "a barrier inside the interval",
        "    if falls and wait > 0:",
        "    if False:",
        laws.INTERVAL,
        Budgets(clocks=1, rejects=2),
    ),
    Mutant(
        "a barrier that keeps the token",
        "record = None if falls else record",
        "record = record",
        laws.REJECTED,
        Budgets(failovers=1, rejects=1),
    ),
    Mutant(
        "a barrier that keeps a lease below it",
        "    if held and held.generation <= generation:\n        held = None\n    newest",
        "    newest",
        laws.REJECTED,
        Budgets(clocks=1, rejects=1, refreshes=1),
    ),
    Mutant(
        "a barrier that ends any lease",
        "    if held and held.generation <= generation:\n        held = None\n    newest",
        "    held = None\n    newest",
        laws.HOLDER,
        Budgets(failovers=1, rejects=1),
    ),
    Mutant(
        "a barrier that is not kept",
        "generation=newest, barrier=generation, rejected=generation",
        "generation=newest, rejected=generation",
        laws.REJECTED,
        Budgets(failovers=1, rejects=1, write_backs=1),
    ),
    Mutant(
        "a barrier that forgets the text",
        "rejected_print=text)",
        'rejected_print="")',
        laws.TEXT,
        Budgets(failovers=1, rejects=1, repeats=1),
    ),
)
