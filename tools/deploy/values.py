"""Makes what follows from the chart's values.yaml: values.schema.json, and the table in README.md. Checks both.

`make deploy-files` writes them. Comments in values.yaml are the texts. Names of settings come from the
server, so that a misspelt one is refused before it is installed.
"""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from deploy.manifests import CHART, read_yaml
from deploy.schema import schema

_BEGIN, _END = "<!-- values, by tools/deploy/values.py -->\n", "<!-- end of values -->\n"
_KEY: Final = re.compile(r"( *)([A-Za-z]\w*):")


class Value(NamedTuple):
    """One value. `has_parts`: the values in it have comments of their own."""

    path: tuple[str, ...]
    meaning: str
    default: Any
    has_parts: bool


def values(text: str, defaults: dict[str, Any]) -> Iterator[Value]:
    """Each value with a comment, in the order of the file."""
    comments = dict(_comments(text))
    for path, meaning in comments.items():
        default: Any = defaults
        for name in path:
            default = default[name]
        yield Value(path, meaning, default, any(other[:-1] == path for other in comments))


def _comments(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The comment above each key. One that stands above an empty line belongs to no key."""
    path: list[str] = []
    said: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            said.append(line.strip().removeprefix("#").strip())
            continue
        if found := _KEY.match(line):
            path = [*path[: len(found[1]) // 2], found[2]]
            if said:
                yield tuple(path), " ".join(said)
        said = []


def without_comment(text: str, defaults: dict[str, Any]) -> Iterator[str]:
    """Values that a reader can only guess at. Parts of a value that is Kubernetes' own need no comment."""
    known = {value.path: value for value in values(text, defaults)}

    def look(path: tuple[str, ...], table: dict[str, Any]) -> Iterator[str]:
        for name, item in table.items():
            here = (*path, name)
            parts = any(other[: len(here)] == here and len(other) > len(here) for other in known)
            if parts:
                yield from look(here, item)
            elif here not in known:
                yield f"values.yaml: {'.'.join(here)} has no comment"

    yield from look((), defaults)


def table(rows: list[Value]) -> str:
    """In Markdown."""
    lines = [f"| `{'.'.join(row.path)}` | {_default(row)} | {row.meaning} |\n" for row in rows]
    return "| Value | Default | Meaning |\n|---|---|---|\n" + "".join(lines)


def _default(row: Value) -> str:
    if row.has_parts:
        return ""
    return f"`{json.dumps(row.default, ensure_ascii=False)}`"


def main() -> int:
    """0 if all is current."""
    text = (CHART / "values.yaml").read_text()
    (defaults,) = read_yaml(text)
    rows = list(values(text, defaults))
    readme = (CHART / "README.md").read_text()
    before, _, rest = readme.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    made = {
        CHART / "README.md": f"{before}{_BEGIN}{table(rows)}{_END}{after}",
        CHART / "values.schema.json": json.dumps(schema(rows), indent=2, ensure_ascii=False) + "\n",
    }
    complaints = list(without_comment(text, defaults))
    for path, content in made.items():
        if sys.argv[1:] == ["--write"]:
            path.write_text(content)
        elif not path.exists() or path.read_text() != content:
            complaints.append(f"{path} is not current: make deploy-files")
    print("\n".join(complaints))
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
