"""Values of the status page, as a busy replica has them."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

from mintonce_server.core.events import Cause
from mintonce_server.core.findings import findings
from mintonce_server.core.status import (
    BudgetRow,
    CallerRow,
    ClientRow,
    EventRow,
    Failed,
    FileRow,
    FleetRow,
    IssuerRow,
    KeyRow,
    Keys,
    Latency,
    Level,
    Mints,
    ReplicaView,
    State,
    StatusSnapshot,
    StoreView,
    TokenEndpointView,
)

AS_OF = 1_795_961_002.0
CART = "spiffe://example.org/ns/shop/sa/cart"
DAY = 86_400.0
REFUSED = Failed(
    ago=12.0,
    since=742.0,
    reason="ISSUER_REFUSED",
    issuer_error="invalid_client",
    detail="login.partner.example answered 401 (invalid_client)",
    remedy="Check the client_id and the secret, and authorize the client for this audience at the issuer.",
    retry_in=18.0,
)


def key_row(number: int, state: State = State.LIVE, **values: Any) -> KeyRow:
    """One key of `billing`. Its token lives two hours or so."""
    row = KeyRow(
        key_hash=f"{number * 2654435761 % 2**32:08x}" * 4,
        client="billing",
        audience=f"https://api-{number}.example.com/",
        scopes=("orders:read", "orders:write") if number % 3 else (),
        state=state,
        generation=1_795_477_922_473_000 + number,
        ends_in=8040.0 + 37 * number,
        refresh_in=7200.0 + 37 * number,
        watchers=number % 4,
        asked_ago=2.0 + number,
        is_wanted=True,
    )
    return replace(row, **values)


_REPLICA = ReplicaView(
    "mintonce-7d9f-x2k", "0.2.0", 3 * DAY, False, 1204.3, 0.0, 12, 10_000, 42, 0.0012, 96 << 20,
    TokenEndpointView("0.0.0.0:8443", 310.5, 0.0, 2),
)  # fmt: skip


def busy(keys: int = 9, *, well: bool = False) -> StatusSnapshot:
    """A replica with everything on its page. `well`: nothing is in trouble."""
    failed = None if well else REFUSED
    made = StatusSnapshot(
        as_of=AS_OF,
        replica=_REPLICA,
        store=StoreView(
            "redis:6379", True, latency=Latency(0.0004, 0.0012, 1024), wake_ago=3.0, wake_lag=Latency(0.001, 0.003, 40)
        ),
        issuers=(
            IssuerRow("acme", 12.0, None, Latency(0.082, 0.31, 41), 1176, 0),
            IssuerRow("partner", 160.0, failed, Latency(0.2, 1.1, 9), 318, 0 if well else 6),
        ),
        clients=(
            ClientRow("billing", "acme", 12, 12, 40, 8040.0, 1176, 104_012_331, 12.0, None),
            ClientRow("reports", "partner", 2, 1, 2, 2460.0, 318, 88_412, 160.0, failed),
        ),
        mints=_mints(well=well),
        keys=_keys(keys, well=well),
        fleet=(
            FleetRow("0a1b2c3d4e5f6071", "10.0.4.17:50051", "0.2.0", AS_OF - 3 * DAY, is_this=True),
            FleetRow("8192a3b4c5d6e7f8", "10.0.5.3:50051", "0.2.0", AS_OF - 2 * DAY),
        ),
        budget=(
            BudgetRow("billing", "month", 31_022, 50_000, 49_100),
            BudgetRow("reports", "month", 310, 1000, 372),
            BudgetRow("reports", "client per_hour", 6, 20, is_quota=True),
        ),
        callers=(CallerRow(CART, 12, 41.0, "PERMISSION_DENIED", "get"), CallerRow("", 3, 600.0, "UNAUTHENTICATED", "")),
        events=_events(),
        files=(
            FileRow("policy", 17_000.0),
            FileRow("certificate", 17_000.0, ends_in=19 * DAY),
            FileRow("sealing keys", 3 * DAY),
        ),
    )
    return replace(made, findings=findings(made))


def _keys(count: int, *, well: bool) -> Keys:
    rng = random.Random(7)
    trouble = key_row(
        0,
        State.BACK_OFF,
        client="reports",
        ends_in=2460.0,
        refresh_in=-300.0,
        retry_in=18.0,
        failure="ISSUER_REFUSED invalid_client",
    )
    others = [key_row(number, State.REFRESHING if number == 3 else State.LIVE) for number in range(1, count)]
    rows = others if well else [trouble, *others]
    states = dict(Counter(row.state for row in rows))
    refreshes = tuple(sorted(rng.expovariate(1 / 5000.0) for _ in range(min(count, 200))))
    return Keys(tuple(rows), len(rows), len(rows), states, (0, 1, 2, max(0, len(rows) - 5), 2, 0), refreshes)


def _mints(*, well: bool) -> Mints:
    rng = random.Random(7)
    return Mints(
        {
            Cause.ABSENT: tuple(int(rng.random() < 0.1) for _ in range(60)),
            Cause.REFRESH: tuple(rng.randrange(5) for _ in range(60)),
            Cause.REJECTED: (0,) * 50 + (4, 1) + (0,) * 8,
            Cause.ROTATION: (0,) * 60,
        },
        (0,) * 60 if well else (0,) * 47 + (1,) * 13,
    )


def _events() -> tuple[EventRow, ...]:
    refused = "ISSUER_REFUSED (invalid_client): login.partner.example answered 401"
    return (
        EventRow(12.0, "mint failed", Level.TROUBLE, "9e3779b1" * 4, "reports", refused, REFUSED.remedy),
        EventRow(12.4, "minted", Level.WELL, "3c6ef362" * 4, "billing", "refresh, 0.08 s, lives 86400 s"),
        EventRow(600.0, "rejected", Level.NOTICE, "3c6ef362" * 4, "", f"the current token, by {CART}"),
    )
