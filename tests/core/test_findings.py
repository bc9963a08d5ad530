"""The sentence at the top of the status page: all is well, or what needs a person and what to do."""

from dataclasses import replace
from pathlib import Path

import pytest

from mintonce_server.core.findings import RUNBOOK_ANCHORS, duration, findings
from mintonce_server.core.status import (
    BudgetRow,
    FileRow,
    Finding,
    Keys,
    Level,
    State,
    StatusSnapshot,
    StoreView,
    as_json,
)
from support.snapshots import DAY, REFUSED, busy

WELL = busy(well=True)


def found(**changes: object) -> tuple[Finding, ...]:
    """When this is otherwise than well."""
    return findings(replace(WELL, **changes))  # type: ignore[arg-type] # as each test gives them


def sentence(snapshot: StatusSnapshot) -> str:
    return replace(snapshot, findings=findings(snapshot)).sentence


def test_nothing_in_trouble_is_all_is_well() -> None:
    """In these words."""
    assert findings(WELL) == ()
    assert (sentence(WELL), WELL.level) == ("All is well.", Level.WELL)
    assert sentence(StatusSnapshot(as_of=0.0)) == "All is well."


def test_a_store_that_is_away_is_the_first_trouble() -> None:
    """With what it says, and what not to do."""
    (only,) = found(store=StoreView("redis:6379", is_up=False, away_for=125.0, detail="it did not answer"))
    assert only.text == "The store has not answered for 2 min 5 s: it did not answer."
    assert only.level is Level.TROUBLE
    assert "do not restart" in only.remedy
    assert only.runbook.endswith("runbook.md#redis-is-down-or-hangs")


def test_a_client_that_is_refused_is_named_with_the_life_of_its_token() -> None:
    """That is how long its operator has."""
    (only,) = found(clients=(replace(WELL.clients[1], failed=REFUSED),))
    assert only.text == (
        "Issuer “partner” refuses client “reports” (invalid_client) for 12 min 22 s. "
        "Its soonest token lives 41 min more."
    )
    assert only.remedy == REFUSED.remedy
    assert only.runbook.endswith("#the-issuer-refuses-the-client")


def test_an_issuer_in_trouble_is_named_once_however_many_clients_it_has() -> None:
    """One outage is one thing."""
    down = replace(REFUSED, reason="ISSUER_UNAVAILABLE", issuer_error="")
    clients = tuple(replace(row, issuer="acme", failed=down) for row in WELL.clients)
    (only,) = found(clients=clients, issuers=(replace(WELL.issuers[0], failed=down),))
    assert only.text.startswith("Issuer “acme” gives no tokens for 12 min 22 s.")


@pytest.mark.parametrize(
    "past",
    [
        replace(REFUSED, lasting=False),
        replace(REFUSED, ago=301.0, retry_in=0.0),
        replace(REFUSED, ago=301.0, retry_in=None),
    ],
    ids=["a success came since", "nobody tries again", "pointless to try"],
)
def test_a_failure_of_the_past_is_no_trouble(past: object) -> None:
    """A caller's invented key is tried once, and must not be on the page for a day."""
    assert found(clients=(replace(WELL.clients[1], failed=past),)) == ()  # type: ignore[arg-type] # as above


def test_refreshes_that_do_not_begin_are_a_notice() -> None:
    """All is well still: tokens live."""
    keys = Keys(by_state={State.DUE: 2, State.LIVE: 4})
    assert [(each.level, each.text) for each in found(keys=keys)] == [(Level.NOTICE, "2 refreshes are overdue.")]


def test_a_refused_file_is_trouble_and_an_old_certificate_becomes_one() -> None:
    """A week before its end it is a notice, a day before it is trouble."""
    files = (
        FileRow("policy", refused="it cannot be parsed", remedy="Fix the file."),
        FileRow("certificate", ends_in=6 * DAY),
        FileRow("certificate of billing", ends_in=0.5 * DAY),
        FileRow("sealing keys"),
    )
    assert [(each.level, each.text) for each in found(files=files)] == [
        (Level.TROUBLE, "The change of “policy” is not in use: it cannot be parsed."),
        (Level.TROUBLE, "The certificate of billing ends in 12 h."),
        (Level.NOTICE, "The certificate ends in 6 d."),
    ]


def test_a_budget_is_a_notice_at_eighty_percent_and_trouble_when_it_is_used_up() -> None:
    """In numbers."""
    budget = (
        BudgetRow("a", "month", 799, 1000),
        BudgetRow("b", "month", 800, 1000),
        BudgetRow("c", "month", 1000, 1000),
    )
    assert [(each.level, each.text) for each in found(budget=budget)] == [
        (Level.TROUBLE, "“c” has used 100% of its budget of this month: 1,000 of 1,000 tokens."),
        (Level.NOTICE, "“b” has used 80% of its budget of this month: 800 of 1,000 tokens."),
    ]


def test_a_replica_that_is_shutting_down_says_so() -> None:
    """It is no trouble."""
    (only,) = found(replica=replace(WELL.replica, is_draining=True))
    assert (only.level, only.text) == (Level.NOTICE, "This replica is shutting down.")


def test_several_things_are_counted() -> None:
    """Notices are not."""
    away = replace(busy(), store=StoreView(is_up=False))
    assert sentence(away) == "2 things need you."
    assert sentence(busy()) == "1 thing needs you."


def test_each_link_leads_to_a_heading_of_the_runbook() -> None:
    """As the site makes its anchors."""
    text = (Path(__file__).parents[2] / "docs" / "operating" / "runbook.md").read_text()
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    anchors = {"-".join("".join(c for c in heading.lower() if c.isalnum() or c == " ").split()) for heading in headings}
    assert anchors >= RUNBOOK_ANCHORS


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60.0, "1 min"),
        (8040.0, "2 h 14 min"),
        (86_400.0, "1 d"),
        (90_061.0, "1 d 1 h"),
        (-5.0, "0 s"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    """Rounded down: nobody is promised more than there is."""
    assert duration(seconds) == text


def test_the_json_form_has_a_version_and_plain_types() -> None:
    """Numbers, and the words of enums."""
    body = as_json(busy())
    assert (body["v"], body["level"], body["sentence"]) == (1, "trouble", "1 thing needs you.")
    assert body["keys"]["rows"][0]["state"] == "back-off"
    assert body["mints"]["by_cause"]["refresh"][0] in range(5)
    assert body["store"]["latency"] == {"p50": 0.0004, "p99": 0.0012, "count": 1024}
