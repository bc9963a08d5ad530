"""Makes deploy/grafana/*.json from panels.py, and holds every expression against promtool.

`python -m deploy.dashboards` checks; `--write` makes the files again.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from checks import ROOT
from deploy.panels import FLEET, REPLICA, Panel, Rows
from deploy.promtool import CannotBeHad, promtool

FOLDER: Final = ROOT / "deploy" / "grafana"
DASHBOARDS: Final[dict[str, tuple[str, Rows]]] = {
    "fleet": ("Mintonce: fleet", FLEET),
    "replica": ("Mintonce: replica", REPLICA),
}
SCHEMA: Final = 39
"""Of Grafana 11 and later; newer ones raise it when they load the file."""
ACROSS: Final = 24
HIGH: Final = 8
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
# What Grafana puts in place of its variables, near enough for a parser.
VALUES: Final = {"$__rate_interval": "5m", "$job": "mintonce", "$instance": ".*", "$client": ".*"}


def dashboard(name: str) -> dict[str, Any]:
    """The model of one dashboard."""
    title, rows = DASHBOARDS[name]
    panels: list[dict[str, Any]] = []
    y = 0
    for row, content in rows.items():
        panels.append({"id": len(panels) + 1, "type": "row", "title": row, "collapsed": False, "panels": [],
                       "gridPos": {"h": 1, "w": ACROSS, "x": 0, "y": y}})  # fmt: skip
        width = ACROSS // min(3, len(content))
        for place, item in enumerate(content):
            line, column = divmod(place, ACROSS // width)
            at = {"h": HIGH, "w": width, "x": column * width, "y": y + 1 + line * HIGH}
            panels.append(panel(len(panels) + 1, item, at))
        y += 1 + HIGH * -(-len(content) * width // ACROSS)
    return {
        "uid": f"mintonce-{name}",
        "title": title,
        "tags": ["mintonce"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "links": [{"type": "dashboards", "title": "Mintonce", "tags": ["mintonce"], "asDropdown": False,
                   "includeVars": True, "keepTime": True}],
        "templating": {"list": variables("client" if name == "fleet" else "instance")},
        "annotations": {"list": []},
        "panels": panels,
    }  # fmt: skip


def variables(last: str) -> list[dict[str, Any]]:
    """Which Prometheus, which fleet, and which clients or replicas of it."""
    label = {"client": "mintonce_keys_held", "instance": "mintonce_build_info"}[last]
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        _query("job", "Fleet", "label_values(mintonce_build_info, job)", several=False),
        _query(last, last.capitalize(), f'label_values({label}{{job="$job"}}, {last})', several=True),
    ]


def _query(name: str, label: str, query: str, *, several: bool) -> dict[str, Any]:
    every = {"includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}} if several else {}
    common = {"name": name, "label": label, "type": "query", "query": query, "datasource": DATASOURCE}
    return {**common, "refresh": 2, "sort": 1, "multi": several, **every}


def panel(number: int, content: Panel, at: dict[str, int]) -> dict[str, Any]:
    """One panel. `at`: its place in the grid."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if content.red_below is not None:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": content.red_below}]
    elif content.red_above is not None:
        steps.append({"color": "red", "value": content.red_above})
    defaults: dict[str, Any] = {"unit": content.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    options: dict[str, Any] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    if content.kind == "table":
        defaults["custom"] = {"cellOptions": {"type": "color-text"}}
        options = {"showHeader": True}
    elif content.kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}}
    elif len(steps) > 1:
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return {
        "id": number,
        "type": content.kind,
        "title": content.title,
        "description": content.description,
        "datasource": DATASOURCE,
        "gridPos": at,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend,
             "instant": content.kind == "table", "range": content.kind != "table",
             "format": "table" if content.kind == "table" else "time_series"}
            for n, (legend, expr) in enumerate(content.queries.items())
        ],
        **({"transformations": [{"id": "organize", "options": {"excludeByName": {"Time": True}}}]}
           if content.kind == "table" else {}),
    }  # fmt: skip


def text(name: str) -> str:
    """The file of one dashboard."""
    return json.dumps(dashboard(name), indent=2, ensure_ascii=False) + "\n"


def expressions() -> Iterator[str]:
    """Every query, with values in place of Grafana's variables."""
    for _, rows in DASHBOARDS.values():
        for content in rows.values():
            for one in content:
                for expr in one.queries.values():
                    for variable, value in VALUES.items():
                        expr = expr.replace(variable, value)  # noqa: PLW2901 - step by step
                    yield expr


def stale(folder: Path = FOLDER) -> list[str]:
    """Files that are not what panels.py says."""
    missing = {path.name for path in folder.glob("*.json")} ^ {f"{name}.json" for name in DASHBOARDS}
    found = [f"deploy/grafana/{name} is missing, or nothing makes it" for name in sorted(missing)]
    for name in DASHBOARDS:
        path = folder / f"{name}.json"
        if path.exists() and path.read_text() != text(name):
            found.append(
                f"deploy/grafana/{name}.json is out of date: "
                "PYTHONPATH=tools .venv/bin/python -P -m deploy.dashboards --write"
            )
    return found


def refused(program: Path) -> list[str]:
    """What promtool says of the expressions, as if they were rules."""
    rules = [{"record": f"dashboard:{number}", "expr": expr} for number, expr in enumerate(expressions())]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)  # JSON is YAML
        file.flush()
        done = subprocess.run(
            [program, "check", "rules", file.name], capture_output=True, text=True, check=False, timeout=60
        )
    return [done.stdout + done.stderr] if done.returncode else []


def main() -> int:
    """0 if the files are current and every expression can be read."""
    if sys.argv[1:] == ["--write"]:
        FOLDER.mkdir(exist_ok=True)
        for name in DASHBOARDS:
            (FOLDER / f"{name}.json").write_text(text(name))
    found = stale()
    try:
        found += refused(promtool())
    except CannotBeHad as error:
        print(f"left out: the expressions of dashboards, because {error}")
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
