"""What the chart and deploy/kubernetes give: documents of YAML as Python values."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from checks import ROOT
from deploy.programs import helm

CHART: Final = ROOT / "deploy" / "helm" / "mintonce"
PLAIN: Final = ROOT / "deploy" / "kubernetes"
VERSIONS: Final = ("1.37", "1.34", "1.30")
"""Of Kubernetes: the newest whose schemas we have, one between, and the oldest that the chart supports."""

# A lone `=` has a tag of its own in YAML 1.1; schemas of cert-manager have it as text.
_TO_JSON: Final = """
import json, sys, yaml
loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)
json.dump([document for document in yaml.load_all(sys.stdin, loader) if document], sys.stdout)
"""

Manifest = dict[str, Any]


def read_yaml(text: str) -> list[Any]:
    """The documents in it, without empty ones. PyYAML is in .venv-deploy, with what else reads manifests."""
    return cast("list[Any]", json.loads(_as_json(text)))


@cache
def _as_json(text: str) -> str:
    python = ROOT / ".venv-deploy" / "bin" / "python"
    done = subprocess.run([python, "-c", _TO_JSON], input=text, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise ValueError(f"this is not YAML: {done.stderr}")
    return done.stdout


def ways() -> list[Path]:
    """Values for each way of use."""
    return sorted((CHART / "ci").glob("*-values.yaml"))


def template(values: Sequence[Path], version: str = VERSIONS[0], more: Sequence[str] = ()) -> str:
    """The chart, rendered. Raises RenderError; programs.CannotBeHad where there is no Helm."""
    files = [part for path in values for part in ("--values", str(path))]
    name = ["mintonce", str(CHART), "--namespace", "mintonce", "--kube-version", version]
    return run_helm(["template", *name, *files, *more])


def rendered(values: Sequence[Path], more: Sequence[str] = ()) -> list[Manifest]:
    """As `template`, as values."""
    return cast("list[Manifest]", read_yaml(template(values, more=more)))


def run_helm(arguments: Sequence[str]) -> str:
    """What it says. Raises RenderError with what it complains of."""
    return _said(tuple(arguments))


@cache
def _said(arguments: tuple[str, ...]) -> str:
    done = subprocess.run([helm(), *arguments], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RenderError(f"{done.stdout}{done.stderr}")
    return done.stdout


class RenderError(Exception):
    """Helm refuses."""


def of_kind(manifests: Sequence[Manifest], kind: str) -> Manifest:
    """The only one of its kind."""
    (found,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return found


def settings_of(manifests: Sequence[Manifest]) -> Iterator[tuple[str, str]]:
    """The name and the text of each file in a ConfigMap."""
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap":
            yield from manifest.get("data", {}).items()
