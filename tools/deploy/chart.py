"""Lints the chart, renders it for each way of use and each Kubernetes, and holds the result against the schemas.

kubernetes-validate knows Kubernetes' own kinds, kubeconform the custom resources.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, cast

from checks import ROOT
from deploy.manifests import CHART, PLAIN, VERSIONS, RenderError, read_yaml, run_helm, template, ways
from deploy.programs import CACHE, CannotBeHad, custom_resources, kubeconform

SCHEMAS: Final = CACHE / "schemas"
RENDERED: Final = CACHE / "rendered"


def lint() -> Iterator[str]:
    """Complaints of `helm lint --strict`."""
    for values in ways():
        try:
            run_helm(["lint", "--strict", "--quiet", str(CHART), "--values", str(values)])
        except RenderError as error:
            yield f"helm lint, {values.name}: {error}"


def render() -> dict[str, list[Path]]:
    """Files with manifests, by the version of Kubernetes that they are for."""
    files: dict[str, list[Path]] = {}
    for version in VERSIONS:
        folder = RENDERED / version
        folder.mkdir(parents=True, exist_ok=True)
        files[version] = sorted(PLAIN.glob("*.yaml"))
        for values in ways():
            path = folder / values.name
            path.write_text(template([values], version))
            files[version].append(path)
    return files


def kubernetes(version: str, files: list[Path]) -> list[str]:
    """What kubernetes-validate finds. A kind that it does not know is kubeconform's."""
    python = ROOT / ".venv-deploy" / "bin" / "python"
    command = [
        str(python),
        "-m",
        "kubernetes_validate",
        "--strict",
        "--quiet",
        "--no-warn",
        "-k",
        version,
        *map(str, files),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return [f"kubernetes-validate {version}:\n{done.stdout}{done.stderr}"] if done.returncode else []


def custom(files: list[Path]) -> Iterator[str]:
    """What kubeconform finds in custom resources. Raises CannotBeHad."""
    program = kubeconform()
    known = set(write_schemas())
    folder = CACHE / "custom"
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        manifests = [manifest for manifest in read_yaml(path.read_text()) if _schema_name(manifest) in known]
        copies = [folder / f"{path.stem}-{number}.json" for number, _ in enumerate(manifests)]
        for copy, manifest in zip(copies, manifests, strict=True):
            copy.write_text(json.dumps(manifest))
        if not copies:
            continue
        location = f"{SCHEMAS}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
        command = [str(program), "-strict", "-schema-location", location, *map(str, copies)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            yield f"kubeconform, {path.name}:\n{done.stdout}{done.stderr}"


def unknown(files: list[Path], known: set[str]) -> Iterator[str]:
    """Custom resources without a check: a group with a dot that is not Kubernetes' own, and no schema."""
    for path in files:
        for manifest in read_yaml(path.read_text()):
            group, _, _ = manifest["apiVersion"].rpartition("/")
            if "." in group and not group.endswith(".k8s.io") and _schema_name(manifest) not in known:
                yield f"{path.name}: there is no schema for {manifest['apiVersion']} {manifest['kind']}"


def write_schemas() -> Iterator[str]:
    """Writes a schema for each custom resource. Yields their names. Raises CannotBeHad."""
    SCHEMAS.mkdir(parents=True, exist_ok=True)
    text = "\n---\n".join(path.read_text() for path in custom_resources())
    for definition in read_yaml(text):
        if definition.get("kind") != "CustomResourceDefinition":
            continue
        spec = definition["spec"]
        for version in spec["versions"]:
            name = f"{spec['names']['kind'].lower()}-{spec['group'].partition('.')[0]}-{version['name']}"
            (SCHEMAS / f"{name}.json").write_text(json.dumps(_strict(version["schema"]["openAPIV3Schema"])))
            yield name


def _schema_name(manifest: dict[str, Any]) -> str:
    group, _, version = manifest["apiVersion"].rpartition("/")
    return f"{manifest['kind'].lower()}-{group.partition('.')[0]}-{version}"


def _strict(schema: object) -> object:
    """The same schema of a custom resource as JSON Schema, which refuses unknown fields."""
    if isinstance(schema, list):
        return [_strict(item) for item in cast("list[object]", schema)]
    if not isinstance(schema, dict):
        return schema
    found = {name: _strict(item) for name, item in cast("dict[str, object]", schema).items()}
    if found.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
        found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if (
        found.get("type") == "object"
        and "properties" in found
        and not found.get("x-kubernetes-preserve-unknown-fields")
    ):
        found.setdefault("additionalProperties", False)
    return found


def main() -> int:
    """0 if all is well."""
    complaints: list[str] = []
    files: dict[str, list[Path]] = {}
    try:
        complaints += lint()
        files = render()
    except RenderError as error:
        complaints.append(str(error))
    except CannotBeHad as why:
        print(f"chart: left out, because {why}")
        files = {version: sorted(PLAIN.glob("*.yaml")) for version in VERSIONS}
    with ThreadPoolExecutor(max_workers=2) as pool:
        for found in pool.map(kubernetes, files.keys(), files.values()):
            complaints += found
    newest = files.get(VERSIONS[0], [])
    try:
        complaints += custom(newest)
        complaints += unknown(newest, {path.stem for path in SCHEMAS.glob("*.json")})
    except CannotBeHad as why:
        print(f"chart: custom resources are left out, because {why}")
    print("\n".join(complaints))
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
