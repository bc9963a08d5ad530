"""A real Prometheus that scrapes replicas each second."""

import asyncio
import json
import shutil
import urllib.request
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from alerts.rules import hurried

from deploy.promtool import CannotBeHad, debian_folder
from support.nodes import free_ports
from support.waiting import wait_until

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "deploy" / "prometheus" / "mintonce.rules.yaml"


class Prometheus:
    """One that runs. `url`: where it answers."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        said = await asyncio.to_thread(self._get, "/api/v1/alerts")
        return {alert["labels"]["alertname"] for alert in said["data"]["alerts"] if alert["state"] == "firing"}

    async def scraped(self) -> int:
        """How many replicas it reaches, and has evaluated the rules for."""
        said = await asyncio.to_thread(self._get, "/api/v1/query?query=count(mintonce:rpc_errors:ratio_rate5m)*sum(up)")
        return sum(int(result["value"][1]) for result in said["data"]["result"])

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5.0) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10.0) as answer:
            return json.loads(answer.read())


def binary() -> Path:
    """One on PATH, or that of Debian's package. Raises CannotBeHad."""
    if found := shutil.which("prometheus"):
        return Path(found)
    if folder := debian_folder():
        return folder / "usr" / "bin" / "prometheus"
    raise CannotBeHad("prometheus is not on PATH, and there is no package of Debian's")


@asynccontextmanager
async def prometheus(program: Path, directory: Path, targets: Sequence[str]) -> AsyncGenerator[Prometheus]:
    """Until the end of the block."""
    (directory / "rules.yaml").write_text(hurried(RULES.read_text()))
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "mintonce", "static_configs": [{"targets": list(targets)}]}],
    }
    (directory / "prometheus.yaml").write_text(json.dumps(config))  # JSON is YAML
    (port,) = free_ports(1)
    running = Prometheus(f"http://127.0.0.1:{port}")
    with (directory / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={directory / 'prometheus.yaml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
        try:
            await wait_until(running.is_ready, timeout=60.0)
            yield running
        finally:
            process.terminate()
            await process.wait()
