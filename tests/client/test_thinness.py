"""What the client brings with it, and what it leaves behind. Each in an interpreter of its own."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

import mintonce
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer

OURS = {"mintonce", "grpc", "google", "sitecustomize"}
GRPCS = {"cython_runtime", "grpc_health", "grpc_reflection", "typing_extensions"}
"""grpcio imports these by itself, where they are installed."""


def run(program: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *args], capture_output=True, text=True, timeout=30, check=False
    )


def test_importing_it_imports_grpc_protobuf_and_the_standard_library() -> None:
    """No HTTP client, no server, no googleapis: a base install has none of them."""
    done = run(
        "import json, sys\nfrom mintonce import *\nimport mintonce.cli._main\n"
        "tops = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "tops = {name for name in tops if not name.startswith('_')}\n"
        "print(json.dumps(sorted(tops)), 'google.rpc' in sys.modules)"
    )
    assert done.stderr == ""
    tops, has_google_rpc = done.stdout.rsplit(maxsplit=1)
    assert set(json.loads(tops)) - OURS - GRPCS == set()
    assert has_google_rpc == "False"


def test_a_program_that_forgets_to_close_its_source_ends_in_silence(server: ScriptedServer) -> None:
    """No hang, no crash and no warning at the interpreter's exit."""
    program = (
        "import sys, mintonce\n"
        "source = mintonce.TokenSource(sys.argv[2], sys.argv[3], via=sys.argv[1])\n"
        "print(source.get())"
    )
    done = run(program, server.target, CLIENT, AUDIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "[redacted]" in done.stdout


@pytest.mark.parametrize("library", ["httpx", "requests"])
def test_an_integration_without_its_library_names_the_extra(library: str) -> None:
    """With the command that installs it."""
    code = f"import sys; sys.modules[{library!r}] = None\nimport mintonce.integrations.{library}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: ")
    assert last.endswith(f"pip install 'mintonce[{library}]'")


def test_the_version_is_that_of_the_package() -> None:
    """As importlib has it."""
    assert mintonce.__version__ == version("mintonce")
