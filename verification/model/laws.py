"""What must never happen, each law with its name. A law is checked at the step that could break it."""

from model.values import State
from model.world import BEHIND, Budgets, Known, Minted, World

FENCE = "the fence only rises"
REJECTED = "what was rejected does not become current again"
TEXT = "a text that was rejected does not become current again, unless the issuer stands by it"
CREDENTIALS = "older credentials replace no newer ones"
HIT = "a HIT is live, newer than what was asked for, and by the asker's credentials"
ONE_POST = "one POST a generation"
MINT_LAW = "the mint law"
BACK_OFF = "no lease inside a back-off"
WHILE_LIVE = "a back-off because of the live token ends with it"
HOLDER = "only its holder, or a rejection, ends a lease"
OWN_LEASE = "no replica waits on its own lease"
NO_LEASE_LEFT = "a flight that is over leaves no lease of its own"
REPEATED = "an act said again changes nothing and answers the same"
SAME_TEXT = "only the same text is a commit said again"
AIM = "a rejection hits only the generation that it names"
NAMED = "a provisional number names its token"
NEVER_WAS = "a rejection of a generation that never was changes nothing"
NOT_LOST = "a rejection of what is not committed yet holds when it is"
GIVEN_OUT = "a generation that was given out is known"
TOLD = "a lease says what was rejected and what is live"
SECOND = "a text that the holder of a lease knows to be live gets no second number"
WITHDRAWN = "a replica serves no more what a caller rejected there"
INTERVAL = "one token an interval falls to rejections"
ONE_FALL = "one token falls to a barrier, however many replicas remember it"
SUCCESSOR = "what was minted after a rejection does not fall to it, however low its number"
BARRED = "a replica bars what the store rejected, and nothing else"
ADOPTED = "a token minted without the store gets its number in any case, without a POST"
FINISH = "everything can finish without another fault"


class BrokenError(Exception):
    """A law was broken. `law` is one of the names above."""

    def __init__(self, law: str, detail: str) -> None:
        super().__init__(f"{law}: {detail}")
        self.law = law


def require(holds: bool, law: str, detail: str) -> None:
    """Raises BrokenError."""
    if not holds:
        raise BrokenError(law, detail)


def judge_record(before: State, after: State, known: Known, token: Minted) -> Known:
    """What became current may do so."""
    record = after.record
    if record is None or (before.record and before.record.generation == record.generation):
        return known
    require(record.generation > known.floor, REJECTED, f"{record.generation}, barred up to {known.floor}")
    require(record.generation > known.peak, FENCE, f"{record.generation} after {known.peak}")
    again = bool(known.rejected_text) and record.print == known.rejected_text
    require(not again or token.reissued, TEXT, record.print)
    require(record.version >= known.version, CREDENTIALS, f"version {record.version} after {known.version}")
    highest = max(known.highest, token.generation, token.served_as)
    return known._replace(peak=record.generation, version=record.version, served_as=token.served_as, highest=highest)


def judge_lease(before: State, after: State, generation: int, nonce: str) -> None:
    """An act of this nonce, about this generation, ended no lease but its own."""
    lease = before.lease
    if lease and after.lease != lease:
        mine = lease.generation == generation and nonce in ("", lease.nonce)
        require(mine, HOLDER, f"the lease of {lease.nonce} on {lease.generation}, by {nonce or generation}")


def judge_post(world: World, generation: int) -> World:
    """A POST is sent. A server that lost all and whose clock is behind may give out a number again."""
    require(world.now == BEHIND or generation not in world.posts, ONE_POST, f"a second one for {generation}")
    return world._replace(posts=tuple(sorted((*world.posts, generation))))


def judge_memory(world: World) -> None:
    """What the replicas remember."""
    for replica in world.replicas:
        known = replica.barred == 0 or replica.barred in world.rejected
        require(known, BARRED, f"{replica.barred}, where {world.rejected} were rejected")
        held, gone = replica.held, replica.barred_text
        back = bool(gone) and held.text == gone and not held.reissued
        # Where a clock went back, a rejection may cover the numbers of others, and what it covers may come back.
        require(not back or world.now == BEHIND, TEXT, f"{held.generation} in memory: {held.text}")


def judge_count(world: World, budgets: Budgets) -> None:
    """POSTs <= lifetimes + crashes + stalls + failures + rejections + 2 x losses, and the rarer causes."""
    used = Budgets(*(whole - left for whole, left in zip(budgets, world.left, strict=True)))
    allowed = (
        1
        + used.expiries
        + used.refreshes
        + used.crashes
        + used.stalls
        + used.failures
        + used.repeats
        + used.outages
        + used.alone
        + used.rejects
        + 2 * (used.losses + used.clocks + used.failovers)
        # Each replica that has a new secret mints by it once; each that has not may have minted by the old one, for
        # itself alone, while there is no token by the new one (its commit is refused: OLD_CREDENTIALS).
        + (len(world.replicas) if used.rotations else 0)
    )
    require(len(world.posts) <= allowed, MINT_LAW, f"{len(world.posts)} POSTs where {allowed} are allowed")
