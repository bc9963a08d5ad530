"""Wrong scripts make a test fail: here those of H14 (protocol.md). `make mutants` runs all."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from mutants.mutant import ROOT, Mutant
from mutants.of_lua import H14, LUA
from mutants.of_policy import POLICY
from mutants.of_python import PYTHON
from mutants.of_token_endpoint import TOKEN_ENDPOINT
from stateful.machine import ScriptsMachine
from stateful.store_side import StoreSide
from stateful.test_scripts import SETTINGS

from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.store import scripts
from support.servers import valkey_binary

UNSHRUNK = settings(SETTINGS, max_examples=1000, phases=[Phase.generate])
"""The first failing example is enough: it need not be the shortest. Most mutants fail within 80, some later."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Of a Valkey."""
    folder: Path = tmp_path_factory.mktemp("mutants")
    async with EmbeddedValkey(folder, persist=False, binary=valkey_binary()) as valkey:
        yield valkey.url


def test_every_mutant_can_still_be_made() -> None:
    """The text that each one changes is in the product exactly once. When it moves, its mutant moves along."""
    for mutant in LUA + PYTHON + POLICY + TOKEN_ENDPOINT:
        assert mutant.mutated() != mutant.new


def test_the_tests_of_every_mutant_exist() -> None:
    """A test that moves takes its mutants along."""
    paths = {
        test.partition("::")[0]
        for mutant in LUA + PYTHON + POLICY + TOKEN_ENDPOINT
        for test in mutant.tests
        if "/" in test
    }
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_every_mutant_has_a_name_of_its_own() -> None:
    """So that `make mutants ARGS=…` finds it."""
    names = [mutant.name for mutant in LUA + PYTHON + POLICY + TOKEN_ENDPOINT]
    assert len(names) == len(set(names))


def test_mutants_of_python_are_python() -> None:
    """What does not even compile would be caught by anything."""
    for mutant in PYTHON:
        compile(mutant.mutated(), mutant.file, "exec")


def test_mutants_of_lua_are_lua(url: str) -> None:
    """As above; the server says so."""
    with StoreSide(url) as side:
        for mutant in LUA:
            assert side.command("SCRIPT", "LOAD", mutant.mutated())


@pytest.mark.slow
@pytest.mark.parametrize("mutant", H14, ids=lambda mutant: mutant.name)
def test_a_mutant_does_not_do_what_the_model_says(mutant: Mutant, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison with the model alone finds each of them."""
    text = mutant.mutated()
    name = mutant.file.rpartition("/")[2].removesuffix(".lua").upper()
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(scripts, name, scripts.Script(text, sha))
    with StoreSide(url) as side:
        machine = type("Machine", (ScriptsMachine,), {"side": side})
        with pytest.raises(AssertionError, match=r"(?s)before: .*model: .*real: "):
            run_state_machine_as_test(machine, settings=UNSHRUNK)
