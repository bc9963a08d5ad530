"""Rules, alerts and dashboards name only what exists: metrics, sections of the runbook, recording rules."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from readme import heading_anchors

from deploy.dashboards import DASHBOARDS, dashboard, stale
from mintonce_server.observability.metrics import Metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = (PROMETHEUS / "mintonce.rules.yaml").read_text()
TESTS = "".join(path.read_text() for path in sorted(PROMETHEUS.glob("*.test.yaml")))
RUNBOOK = ROOT / "docs" / "operating" / "runbook.md"
OBSERVABILITY = (ROOT / "docs" / "operating" / "observability.md").read_text()

ALERTS = dict(re.findall(r"^  - alert: (\w+)\n(.*?)(?=^  - |\Z)", RULES, re.MULTILINE | re.DOTALL))
RECORDS = re.findall(r"^  - record: (\S+)$", RULES, re.MULTILINE)
SUFFIXES = ("", "_bucket", "_count", "_sum")


def names_of(registry: CollectorRegistry) -> set[str]:
    """Every name that a query may use."""
    return {
        family.name + suffix
        for family in registry.collect()
        for suffix in (("_total",) if family.type == "counter" else SUFFIXES if family.type == "histogram" else ("",))
    }


KNOWN = names_of(Metrics().registry) | set(RECORDS)


def used_in(query: str) -> set[str]:
    """The names of metrics and recording rules in a query."""
    return set(re.findall(r"(?<![\w:])(?:mintonce|rpc|http|db|process|python)[_:][\w:]+(?![\w:]*\()", query)) - LABELS


LABELS = {
    "rpc_method", "rpc_status_code", "http_response_status_code", "db_stored_procedure_name", "http_request_method",
    "http_route",
}  # fmt: skip


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every panel that shows something, with its dashboard."""
    for name in DASHBOARDS:
        for panel in dashboard(name)["panels"]:
            if panel["type"] != "row":
                yield name, panel


def test_there_are_alerts_records_and_panels() -> None:
    """What the other tests here look at."""
    assert (len(ALERTS), len(RECORDS), len(list(panels()))) >= (21, 5, 40)
    assert "mintonce_tokens_served_total" in KNOWN


def test_each_metric_in_a_rule_exists() -> None:
    """A misspelt one would never fire."""
    queries = re.sub(r"^ *#.*$|^ *(?:summary|runbook|- alert|- record|- name):.*$", "", RULES, flags=re.MULTILINE)
    assert used_in(queries) - KNOWN == set()
    assert len(used_in(queries)) > 20


def test_each_metric_in_a_unit_test_exists() -> None:
    """Else the unit tests would hold after a metric was renamed."""
    series = set(re.findall(r"series: '([^{]+)\{", TESTS))
    assert series
    assert series - KNOWN == set()


@pytest.mark.parametrize(
    ("name", "panel"), list(panels()), ids=lambda value: value if isinstance(value, str) else value["title"]
)
def test_each_panel_says_what_it_shows(name: str, panel: dict[str, Any]) -> None:
    """By metrics that exist, with a unit and a description."""
    for target in panel["targets"]:
        used = used_in(target["expr"])
        assert used
        assert used - KNOWN == set()
        assert target["datasource"]["uid"] == "${datasource}"
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["description"].endswith(".")


def test_the_files_of_the_dashboards_are_current() -> None:
    """tools/deploy/panels.py is the only source."""
    assert stale() == []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_fits_any_grafana(name: str) -> None:
    """Nothing in it comes from one installation, and no panel covers another."""
    model = json.loads((ROOT / "deploy" / "grafana" / f"{name}.json").read_text())
    assert "id" not in model
    assert model["uid"] == f"mintonce-{name}"
    ids = [panel["id"] for panel in model["panels"]]
    assert len(ids) == len(set(ids))
    places = [
        (x, y)
        for panel in model["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_leads_to_a_section_of_the_runbook(alert: str) -> None:
    """That says what to look at, what to do and what not to do."""
    (target,) = re.findall(r"^ +runbook: (\S+)$", ALERTS[alert], re.MULTILINE)
    page, _, anchor = target.partition("#")
    assert (ROOT / page) == RUNBOOK
    assert anchor in heading_anchors(RUNBOOK)
    sections = re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)
    (section,) = [text for text in sections if _anchor(text.partition("\n")[0]) == anchor]
    assert "**Do" in section
    assert "**Do not" in section


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_severity_a_summary_and_a_line_in_the_documents(alert: str) -> None:
    """One of three severities."""
    assert re.search(r"^    labels: \{severity: (critical|warning|info)\}$", ALERTS[alert], re.MULTILINE)
    assert re.search(r'^ +summary: ".+"$', ALERTS[alert], re.MULTILINE)
    assert f"`{alert}`" in OBSERVABILITY


@pytest.mark.parametrize("alert", ALERTS)
def test_the_unit_tests_of_an_alert_see_it_fire_and_not_fire(alert: str) -> None:
    """promtool runs them: make lint-deploy ONLY=rules."""
    assert f"alertname: {alert}, exp_alerts: []" in TESTS
    assert re.search(rf"^    alertname: {alert}\n    exp_alerts:\n    - exp_labels:", TESTS, re.MULTILINE)


@pytest.mark.parametrize("record", RECORDS)
def test_the_unit_tests_calculate_each_recording_rule(record: str) -> None:
    """With a result that is written there."""
    assert re.search(rf"^  - expr: .*{re.escape(record)}", TESTS, re.MULTILINE)
