"""A hint that a token may be rejected makes a replica ask the store, a bounded number of times."""

from mintonce_server.core.fetch import ASKED_AT_MOST
from mintonce_server.core.ports import Acquired, AcquireRequest, Wake, WakeKind
from support.samples import KEY, named
from support.workbench import Workbench


async def test_a_flood_of_hints_holds_up_no_caller() -> None:
    """Hints come faster than the store answers: the caller gets the token after a few questions."""
    bench = Workbench()
    token = (await bench.get()).token
    other, acquire, asked = bench.replica(), bench.store.acquire, 0

    async def acquire_and_hint(key: object, request: AcquireRequest) -> Acquired:
        nonlocal asked
        asked += 1
        if asked < 50:
            other.broker._reconciler.notice(Wake(WakeKind.REJECT, token.key_hash, token.generation))
        return await acquire(KEY, request)

    bench.store.acquire = acquire_and_hint  # type: ignore[method-assign]
    served = await other.get()
    assert named(served.token) == named(token)
    assert asked == ASKED_AT_MOST
    assert bench.issuer.mints == 1
