"""docs/start.md can be pasted from top to bottom: its blocks run in order in one shell, on free ports."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.nodes import free_ports

PAGE = (Path(__file__).parents[2] / "docs" / "start.md").read_text()
BLOCK = re.compile(r"(?:^<!-- ends with (?P<code>\d+) -->\n)?^```sh\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
PORTS = ("50051", "50052", "50053", "50080", "56379")
INSTALLING = "make setup FOR=run\n"
"""Left out here: the environment of the tests has it, and other tests are using that."""


def on_free_ports(page: str) -> tuple[str, dict[str, str]]:
    """The page, and the environment in which programs that use a default port use a free one."""
    for port, free in zip(PORTS, map(str, free_ports(len(PORTS))), strict=True):
        page = page.replace(port, free)
    address = re.findall(r"health --target (\S+)", page)[0]
    issuer = re.findall(r"practice-issuer --port (\d+)", page)[0]
    page = page.replace(
        "mintonced dev ",
        f"mintonced dev --listen {address} --http-listen 127.0.0.1:0 --token-listen 127.0.0.1:0 "
        f"--issuer-port {issuer} ",
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith("MINTONCE_")}
    return page, {**own, "MINTONCE_TARGET": address, "MINTONCE_LISTEN": address}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_every_command_of_the_page_runs_in_order(tmp_path: Path) -> None:
    """On a machine with nothing but Python, openssl and what `make setup FOR=run` installs."""
    assert INSTALLING in PAGE
    page, environment = on_free_ports(PAGE.replace(INSTALLING, ""))
    blocks = list(BLOCK.finditer(page))
    script = "\n".join(["set -E", "trap 'echo \"@failed $?\"' ERR", *(block["text"] for block in blocks)])
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"

    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150, check=False
    )

    said = done.stdout + done.stderr
    assert re.findall(r"@failed (\d+)", said) == [block["code"] for block in blocks if block["code"]], said
    tokens = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"access_token"')]
    *ours, at_the_endpoint = tokens  # curl's is the last one, and has no generation
    first, again, after_rejection, own_domain, billing, shop = [token["generation"] for token in ours]
    assert first == again < after_rejection < own_domain, said
    assert billing == shop, said
    assert at_the_endpoint["access_token"] == ours[-1]["access_token"], said
    assert "PERMISSION_DENIED" in said
    assert not list(tmp_path.iterdir()), said
