"""What needs no SDK: names, programs, the page, and how an answer is read. The SDKs are run by `make interop`."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from interop.sdks.asking import Asker, Said
from interop.sdks.subjects import HERE, SUBJECTS, Sdk
from interop.sdks.trials import SHOWN, shown

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "operating" / "sdks.md"
PROGRAM = """
import sys
print('{"ready": true}', flush=True)
for line in sys.stdin:
    print('{"error": "no answer of 127.0.0.1:4711\\\\n in 3.9 s", "leak": true}', flush=True)
"""


@pytest.mark.parametrize("sdk", SUBJECTS.values(), ids=str)
def test_each_library_has_a_program_and_stands_on_the_page(sdk: Sdk) -> None:
    """A file beside its toolchain, or a word that the one program of the toolchain takes."""
    sources = [*(HERE / sdk.toolchain).glob("*.go"), *(HERE / sdk.toolchain).rglob("Ask.java")]
    has_file = (HERE / sdk.toolchain / sdk.program).exists()
    assert has_file or any(f'"{sdk.program}"' in source.read_text() for source in sources) or sdk.program == "probe"
    words = "Envoy" if sdk.name == "Envoy" else sdk.name.split()[0].partition("/")[0]
    assert words.lower() in PAGE.read_text().lower()


def test_each_library_calls_with_a_key_of_its_own() -> None:
    """Otherwise their requests could not be told apart in the audit log."""
    callers = [sdk.caller for sdk in SUBJECTS.values()]
    assert len(set(callers)) == len(callers)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", caller) for caller in callers)


async def test_what_differs_from_run_to_run_is_left_out_of_an_error() -> None:
    """Ports and times: the committed results would change with each run."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, stdin=PIPE, stdout=PIPE)
    asker = Asker(SUBJECTS["curl"], process)
    await asker.ready()
    said = await asker.ask()
    assert (said.error, said.leak, said.sha256) == ("no answer of HOST in … s", True, "")
    assert (asker.errors, asker.tokens) == ([said], [])
    process.kill()
    await process.wait()


async def test_a_program_that_ends_is_no_answer() -> None:
    """It is said which, and how it ended."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)", stdin=PIPE, stdout=PIPE)
    with pytest.raises(RuntimeError, match="curl ended with code 3"):
        await Asker(SUBJECTS["curl"], process).ready()


def test_a_long_error_is_shown_in_part() -> None:
    """The page has a line for each."""
    assert shown(Said(0.0, 0.0, error="x" * (SHOWN + 1))) == "x" * SHOWN + "…"
    assert shown(Said(0.0, 0.0, error="x" * SHOWN)) == "x" * SHOWN
