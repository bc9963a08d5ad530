"""What must never happen, each law with its name. A law is checked at the step that could break it."""

from model.values import State
from model.world import Budgets, Known, Replica, World

FENCE = "the fence only rises"
REJECTED = "what was rejected does not become current again"
TEXT = "a text that was rejected does not become current again"
CREDENTIALS = "older credentials replace no newer ones"
HIT = "a HIT is live, newer than what was asked for, and by the asker's credentials"
ONE_POST = "one POST a generation"
MINT_LAW = "the mint law"
BACK_OFF = "no lease inside a back-off"
HOLDER = "only its holder, or a rejection, ends a lease"
OWN_LEASE = "nobody waits on its own lease"
NO_LEASE_LEFT = "a flight that is over leaves no lease of its own"
REPEATED = "an act said again changes nothing and answers the same"
AIM = "a rejection hits only the generation that it names"
INTERVAL = "one rejection an interval"
FINISH = "everybody can finish without another fault"


class BrokenError(Exception):
    """A law was broken. `law` is one of the names above."""

    def __init__(self, law: str, detail: str) -> None:
        super().__init__(f"{law}: {detail}")
        self.law = law


def require(holds: bool, law: str, detail: str) -> None:
    """Raises BrokenError."""
    if not holds:
        raise BrokenError(law, detail)


def judge_record(before: State, after: State, known: Known) -> Known:
    """What became current may do so."""
    record = after.record
    if record is None or (before.record and before.record.generation == record.generation):
        return known
    require(record.generation > known.floor, REJECTED, f"{record.generation}, barred up to {known.floor}")
    require(record.generation > known.peak, FENCE, f"{record.generation} after {known.peak}")
    require(not known.rejected_text or record.print != known.rejected_text, TEXT, record.print)
    require(record.version >= known.version, CREDENTIALS, f"version {record.version} after {known.version}")
    return known._replace(peak=record.generation, version=record.version)


def judge_lease(before: State, after: State, generation: int, nonce: str) -> None:
    """An act of this nonce, about this generation, ended no lease but its own."""
    lease = before.lease
    if lease and after.lease != lease:
        mine = lease.generation == generation and nonce in ("", lease.nonce)
        require(mine, HOLDER, f"the lease of {lease.nonce} on {lease.generation}, by {nonce or generation}")


def judge_post(world: World, replica: Replica) -> World:
    """A POST is sent."""
    generation = replica.generation
    require(generation not in world.posts, ONE_POST, f"a second one for {generation}")
    return world._replace(posts=tuple(sorted((*world.posts, generation))))


def judge_count(world: World, budgets: Budgets) -> None:
    """POSTs <= lifetimes + crashes + stalls + failures + 2 x rejections + 2 x losses, and the rarer causes."""
    used = Budgets(*(whole - left for whole, left in zip(budgets, world.left, strict=True)))
    allowed = (
        1
        + used.expiries
        + used.crashes
        + used.stalls
        + used.failures
        + used.repeats
        + used.outages
        + 2 * world.rejections
        + 2 * (used.losses + used.failovers)
        # Each replica that has a new secret mints by it once; each that has not may have minted by the old one, for
        # itself alone, while there is no token by the new one (its commit is refused: OLD_CREDENTIALS).
        + (len(world.replicas) if used.rotations else 0)
    )
    require(len(world.posts) <= allowed, MINT_LAW, f"{len(world.posts)} POSTs where {allowed} are allowed")
