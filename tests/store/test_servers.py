"""How the servers of a store are determined."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import AuthenticationError, ConnectionError

from mintonce_server.common.redis_url import Address
from mintonce_server.store.topology.discovery import Discovery, poll
from mintonce_server.store.topology.routing import read_slots
from support.waiting import wait_until

HERE = Address("10.0.0.1", 7000)
THERE = Address("10.0.0.2", 7001)
REPLICA = Address("10.0.0.3", 7002)


async def _says(answer: str) -> str:
    return answer


async def _never(after: Callable[[], None] = lambda: None) -> str:
    try:
        await asyncio.Event().wait()
    finally:
        after()
    return "never"


async def _fails(error: Exception) -> str:
    raise error


async def test_what_most_say_comes_first() -> None:
    """A server with an old view is outvoted."""
    assert await poll([_says("old"), _says("new"), _says("new")], 1.0) == ["new", "old"]


async def test_a_majority_is_not_kept_waiting() -> None:
    """The query of a stopped server is cancelled."""
    ended = asyncio.Event()
    assert await poll([_never(ended.set), _says("new"), _says("new")], 60.0) == ["new"]
    assert ended.is_set()


async def test_a_minority_is_believed_in_the_end() -> None:
    """If the others are silent or unreachable."""
    assert await poll([_never(), _fails(ConnectionError()), _says("known")], 0.1) == ["known"]


async def test_no_answer_is_an_error() -> None:
    """The most useful error comes first."""
    with pytest.raises(AuthenticationError):
        await poll([_fails(ConnectionError()), _fails(AuthenticationError())], 1.0)
    with pytest.raises(TimeoutError):
        await poll([_never()], 0.01)


@asynccontextmanager
async def _discovery(look: Callable[[], Awaitable[str]], every: float = 60.0) -> AsyncGenerator[Discovery[str]]:
    discovery = Discovery(look, every=every, max_wait=60.0)
    try:
        yield discovery
    finally:
        await discovery.close()


class _Views:
    """The views that successive refreshes find."""

    def __init__(self, *views: str | Exception) -> None:
        self.views = list(views)
        self.looks = 0

    async def look(self) -> str:
        self.looks += 1
        view = self.views.pop(0) if len(self.views) > 1 else self.views[0]
        if isinstance(view, Exception):
            raise view
        return view


async def test_many_calls_share_one_look() -> None:
    """None is needed until the view is invalidated."""
    views = _Views("first")
    async with _discovery(views.look) as discovery:
        assert set(await asyncio.gather(*(discovery.find() for _ in range(100)))) == {"first"}
        assert await discovery.find() == "first"
    assert views.looks == 1


async def test_after_an_invalidation_a_call_gets_the_new_view() -> None:
    """It waits for the refresh."""
    async with _discovery(_Views("first", "second").look) as discovery:
        await discovery.find()
        discovery.invalidate()
        assert await discovery.find() == "second"


async def test_a_look_that_finds_nothing_changes_nothing() -> None:
    """The last view stays in use: perhaps only the servers that know the layout are away."""
    async with _discovery(_Views("first", ConnectionError(), "third").look) as discovery:
        await discovery.find()
        discovery.invalidate()
        assert await discovery.find() == "first"
        discovery.invalidate()
        assert await discovery.find() == "third"


async def test_without_any_view_calls_fail_with_the_cause() -> None:
    """The next call refreshes again."""
    async with _discovery(_Views(AuthenticationError(), "second").look) as discovery:
        with pytest.raises(ConnectionError) as caught:
            await discovery.find()
        assert isinstance(caught.value.__cause__, AuthenticationError)
        assert await discovery.find() == "second"


async def test_a_caller_that_gives_up_leaves_the_look_to_the_others() -> None:
    """It belongs to no single caller."""
    seen = asyncio.Event()

    async def look() -> str:
        await seen.wait()
        return "seen"

    async with _discovery(look) as discovery:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await discovery.find()
        seen.set()
        assert await discovery.find() == "seen"


async def test_it_looks_without_being_asked() -> None:
    """A change is detected though no call fails."""
    async with _discovery(_Views("first", "second").look, every=0.01) as discovery:
        await discovery.find()
        await wait_until(lambda: discovery.view == "second")


def test_slots_are_read_as_the_servers_say_them() -> None:
    """First, last, primary, replicas; a server has an id, and perhaps more."""
    rows: list[object] = [
        [8192, 16_383, [b"10.0.0.2", 7001, b"id", []]],
        [0, 8191, [b"10.0.0.1", 7000, b"id", []], [b"10.0.0.3", 7002, b"id", []]],
    ]
    slots = read_slots(rows, HERE)
    assert [slots.primary(slot) for slot in (0, 8191, 8192, 16_383)] == [HERE, HERE, THERE, THERE]
    assert slots.servers == (HERE, THERE, REPLICA)
    assert slots == read_slots(rows[::-1], THERE)


@pytest.mark.parametrize("host", [b"", None, b"?"])
def test_a_server_without_a_name_is_where_it_was_asked(host: bytes | None) -> None:
    """As the protocol says."""
    assert read_slots([[0, 16_383, [host, 7001]]], HERE).primary(1) == Address(HERE.host, 7001)


def test_a_slot_may_have_no_owner() -> None:
    """Before the first range, between two, after the last."""
    slots = read_slots([[10, 20, [b"10.0.0.1", 7000]], [30, 40, [b"10.0.0.1", 7000]]], HERE)
    assert [slots.primary(slot) for slot in (9, 25, 41)] == [None, None, None]


NO_SLOTS: list[object] = [[], None, b"OK", [[1]], [[1, 2, []]], [[b"x", 2, [b"h", 1]]], [1]]


@pytest.mark.parametrize("reply", NO_SLOTS)
def test_what_is_no_list_of_slots_is_an_error(reply: object) -> None:
    """For example from a server that has just been started, or is in no Cluster."""
    with pytest.raises(ConnectionError):
        read_slots(reply, HERE)
