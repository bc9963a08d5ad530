"""The files that a pod of the chart would see, in a folder of a test."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from deploy.manifests import Manifest, of_kind

Contents = Mapping[str, Mapping[str, bytes]]
"""By the name of a volume, and the name of a file."""


def container(manifests: Sequence[Manifest]) -> Manifest:
    """The server's."""
    spec = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]
    main: Manifest = spec["containers"][0]
    return main


def environment(manifests: Sequence[Manifest]) -> dict[str, str]:
    """The server's variables."""
    return {variable["name"]: variable["value"] for variable in container(manifests).get("env", [])}


def mount(manifests: Sequence[Manifest], root: Path, given: Contents) -> Path:
    """Write what the pod would see below `root`. Returns the file of the settings, whose paths lead there.

    ConfigMaps of the chart are written as they are, all else is `given`. A file that the settings name in a mounted
    folder and that nobody gives has a text that nobody reads.
    """
    folders: dict[str, Path] = {}
    for place in container(manifests)["volumeMounts"]:
        folder = Path(f"{root}{place['mountPath']}")
        folder.mkdir(parents=True)
        folders[place["mountPath"]] = folder
        for name, data in {**_of_chart(manifests, place["name"]), **given.get(place["name"], {})}.items():
            (folder / name).touch(mode=0o600)
            (folder / name).write_bytes(data)
    settings = root / "etc" / "mintonce" / "mintonce.toml"
    text = settings.read_text()
    for path in _paths(tomllib.loads(text)):
        here = Path(f"{root}{path}")
        if path.parent in map(Path, folders) and not here.exists():
            here.touch(mode=0o600)
            here.write_text("nobody reads this")
    for mounted, folder in folders.items():
        text = text.replace(f'"{mounted}/', f'"{folder}/')
    settings.write_text(text)
    return settings


def _of_chart(manifests: Sequence[Manifest], volume: str) -> dict[str, bytes]:
    volumes = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]
    (found,) = (candidate for candidate in volumes if candidate["name"] == volume)
    wanted = found.get("configMap", {}).get("name")
    maps = [one for one in manifests if one["kind"] == "ConfigMap" and one["metadata"]["name"] == wanted]
    return {name: text.encode() for one in maps for name, text in one["data"].items()}


def _paths(value: object) -> Iterator[Path]:
    match value:
        case dict():
            for item in cast("dict[str, object]", value).values():
                yield from _paths(item)
        case list():
            for item in cast("list[object]", value):
                yield from _paths(item)
        case str() if value.startswith("/"):
            yield Path(value)
        case _:
            pass
