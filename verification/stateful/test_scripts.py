"""The product's Lua on Valkey 9 and on Redis 8, and the memory store: they do what the model says."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from stateful.machine import ScriptsMachine
from stateful.memory_side import MemorySide
from stateful.store_side import StoreSide

# The same examples each time, so that a failure comes again by itself; Hypothesis prints the shortest steps to it.
SETTINGS = settings(
    max_examples=80,
    stateful_step_count=35,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_the_scripts_do_what_the_model_says(url: str) -> None:
    """Whatever was done before: the same answer, the same in the store, the same told; no key without a TTL."""
    with StoreSide(url) as side:
        machine = type("Machine", (ScriptsMachine,), {"side": side})
        run_state_machine_as_test(machine, settings=SETTINGS)


def test_the_memory_store_does_what_the_model_says() -> None:
    """The same as the scripts, answer for answer and field for field: what is tested on it holds for them."""
    with MemorySide() as side:
        machine = type("Machine", (ScriptsMachine,), {"side": side})
        run_state_machine_as_test(machine, settings=SETTINGS)
