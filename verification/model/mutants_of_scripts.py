"""Wrong versions of the scripts' model: leases, the fence, credentials, back-offs, rejections."""

from model import laws
from model.mutant import Mutant
from model.world import Budgets

H14 = (
    Mutant(
        "no fence",
        "if record and token.generation <= record.generation:",
        "if record and token.generation == record.generation:",
        laws.FENCE,
    ),
    Mutant(
        "no barrier",
        "if token.generation <= meta.barrier:",
        "if False:",
        laws.REJECTED,
        Budgets(stalls=1, rejects=1),
    ),
    Mutant(
        "blind release",
        "    if not held or held.nonce != nonce or held.generation != generation:\n"
        "        return Outcome(state, False)\n"
        "    # 2. No replica",
        "    if not held:\n        return Outcome(state, False)\n    # 2. No replica",
        laws.HOLDER,
        Budgets(stalls=1, failures=1),
    ),
    Mutant(
        "blind reject",
        "if generation not in (current, provisional):",
        "if not current:",
        laws.AIM,
        Budgets(rejects=1, stalls=1),
    ),
    Mutant(
        "non-idempotent acquire",
        "if held and held.nonce == nonce:",
        "if False:",
        laws.REPEATED,
    ),
    Mutant(
        "kept dead lease",
        "    if held and held.generation == token.generation:\n        held = None\n    state =",
        "    if held and held.generation == token.generation and token.version >= meta.version:\n"
        "        held = None\n    state =",
        laws.NO_LEASE_LEFT,
        Budgets(rotations=1, crashes=1),
    ),
)

MORE = (
    Mutant(
        "a restore ignores the barrier",
        "if token.generation <= meta.barrier:",
        "if token.generation <= meta.barrier and not restored:",
        laws.REJECTED,
        Budgets(rejects=1, write_backs=1),
    ),
    Mutant(
        "a restore ends the back-off",
        "    if not restored:\n",
        "    if True:\n",
        laws.BACK_OFF,
        Budgets(failures=1, losses=1, write_backs=1, expiries=1),
    ),
    Mutant(
        "generations without the clock",
        "generation = max(newest + 1, clock)",
        "generation = newest + 1",
        laws.ONE_POST,
        Budgets(losses=1),
    ),
    Mutant(
        "generations by the clock alone",
        "generation = max(newest + 1, clock)",
        "generation = now",
        laws.ONE_POST,
    ),
    Mutant(
        "generations that forget the leases before",
        "newest = max(meta.generation, meta.barrier,",
        "newest = max(meta.barrier,",
        laws.ONE_POST,
    ),
    Mutant(
        "a commit takes any lease with it",
        "    if held and held.generation == token.generation:\n        held = None\n    state =",
        "    held = None\n    state =",
        laws.HOLDER,
    ),
    Mutant(
        "a commit said again is refused",
        "    if record and record.generation == token.generation and record.print == token.print:\n",
        "    if False:\n",
        laws.REPEATED,
    ),
    Mutant(
        "a lease can be taken away",
        "    # 3. It is another's.\n    if held:",
        "    # 3. It is another's.\n    if False:",
        laws.HOLDER,
    ),
    Mutant(
        "a HIT by old credentials",
        "and record.version >= version else None",
        "else None",
        laws.HIT,
        Budgets(rotations=1),
    ),
    Mutant(
        "a HIT that the asker knows to be rejected",
        "if row and row.generation > newer_than and",
        "if row and",
        laws.HIT,
        Budgets(rejects=1, failovers=1),
    ),
    Mutant(
        "a commit by old credentials",
        "if token.version < meta.version:",
        "if False:",
        laws.CREDENTIALS,
        Budgets(rotations=1, stalls=1),
    ),
    Mutant(
        "a lease that does not say by which credentials",
        "meta._replace(generation=generation, version=max(version, meta.version), failures=failures)",
        "meta._replace(generation=generation, failures=failures)",
        laws.CREDENTIALS,
        Budgets(rotations=1, stalls=1),
    ),
    Mutant(
        "a lease inside the back-off",
        "    if shut and not adopt:",
        "    if False:",
        laws.BACK_OFF,
        Budgets(failures=1),
    ),
    Mutant(
        "a back-off for older credentials only",
        "meta.until_version >= version and",
        "meta.until_version > version and",
        laws.BACK_OFF,
        Budgets(failures=1),
    ),
    Mutant(
        "a failure that sets no back-off",
        "meta._replace(until=now + retry, failure=failure,",
        "meta._replace(failure=failure,",
        laws.BACK_OFF,
        Budgets(failures=1),
    ),
    Mutant(
        "a failure that keeps its lease",
        "Outcome(State(record, None, meta), True,",
        "Outcome(State(record, held, meta), True,",
        laws.REPEATED,
        Budgets(failures=1),
    ),
    Mutant(
        "a barrier at the rejected generation only",
        "barrier = max(meta.generation, meta.barrier, current)",
        "barrier = max(meta.barrier, current)",
        laws.REJECTED,
        Budgets(rejects=1, stalls=1),
    ),
    Mutant(
        "a rejection that keeps the token",
        'Outcome(State(None, None, meta), Rejection("CURRENT", current)',
        'Outcome(State(record, None, meta), Rejection("CURRENT", current)',
        laws.REPEATED,
        Budgets(rejects=1),
    ),
    Mutant(
        "a rejection that forgets what it answered",
        "if generation in (meta.rejected, meta.rejected_as):",
        "if False:",
        laws.REPEATED,
        Budgets(rejects=1),
    ),
    Mutant(
        "rejections in a loop",
        "    if wait > 0:",
        "    if False:",
        laws.INTERVAL,
        Budgets(rejects=2),
    ),
    Mutant(
        "a rejection that forgets the text",
        "rejected_print=text, rejected_at=now)",
        "rejected_at=now)",
        laws.TEXT,
        Budgets(rejects=1, repeats=1),
    ),
    Mutant(
        "a lease that does not say what was rejected",
        "granted = Granted(generation, lease, failures, meta.rejected_print, *live)",
        'granted = Granted(generation, lease, failures, "", *live)',
        laws.REPEATED,
        Budgets(rejects=1, repeats=1),
    ),
    Mutant(
        "a commit said again with another text",
        " and record.print == token.print:",
        ":",
        laws.SAME_TEXT,
    ),
    Mutant(
        "another text takes the number",
        "if record and token.generation <= record.generation:",
        "if record and token.generation < record.generation:",
        laws.SAME_TEXT,
    ),
)
