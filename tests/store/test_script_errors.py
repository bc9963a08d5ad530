"""What a command in a script answered is known on every server, also where Redis 6.2 hides it in a text."""

from pathlib import Path

import pytest
from redis import exceptions

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.store.script_errors import unwrapped
from support.reaching import reaching
from support.samples import lease_of
from support.topologies import single

WRAPPED = f"Error running script (call to f_{'0a' * 20}): @user_script:7: @user_script: 7: "


@pytest.mark.parametrize(
    ("text", "kind", "answer"),
    [
        ("-READONLY You can't write.", exceptions.ReadOnlyError, "You can't write."),
        ("-OOM command not allowed.", exceptions.OutOfMemoryError, "command not allowed."),
        ("-MASTERDOWN Link with MASTER is down.", exceptions.MasterDownError, "Link with MASTER is down."),
        ("-NOREPLICAS Not enough good replicas.", exceptions.ResponseError, "NOREPLICAS Not enough good replicas."),
        ("The user can't run this command", exceptions.ResponseError, "The user can't run this command"),
    ],
)
def test_the_answer_has_its_own_class(text: str, kind: type[Exception], answer: str) -> None:
    """As redis-py gives it for a command that is sent alone."""
    found = unwrapped(exceptions.ResponseError(WRAPPED + text))
    assert type(found) is kind
    assert str(found) == answer


def test_other_answers_stay_as_they_are() -> None:
    """The same object, so that its traceback is kept."""
    error = exceptions.ResponseError("ERR something else")
    assert unwrapped(error) is error


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), "is a replica, which accepts no writes"),
        (("CONFIG", "SET", "maxmemory", "1"), "has no memory left"),
        (("CONFIG", "SET", "min-replicas-to-write", "1"), "has too few replicas"),
    ],
)
async def test_the_store_says_what_the_server_answered(
    tmp_path: Path, clock: Clock, words: tuple[str, ...], what: str
) -> None:
    """Whatever server the tests run on."""
    async with single(tmp_path) as topology, reaching(topology.url, clock) as store:
        await topology.servers[0].command(*words)
        with pytest.raises(StoreUnavailable) as caught:
            await lease_of(store)
    assert what in str(caught.value)
