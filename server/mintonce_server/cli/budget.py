"""`mintonced budget`: what clients used in a month, and where that leads. For people and for scripts."""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mintonce_server import app
from mintonce_server.app import Spent
from mintonce_server.config import load, visible
from mintonce_server.core.budget import Month

FINE: Final = 0
WARNED: Final = 3
USED_UP: Final = 4
"""Exit codes: the worst of the clients that are shown. 1 and 2 are failures, as of every command."""

CODES: Final = "Exit code: 0 within budget or without one, 3 from warn_at on, 4 used up, 1 on failure."


def add_budget(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.epilog = CODES
    parser.add_argument("client", nargs="?", metavar="CLIENT", help="name of a client; default: all")
    parser.add_argument("--month", metavar="YEAR-MONTH", help="such as 2026-10; default: the current one, in UTC")
    parser.add_argument("--json", action="store_true", help="print a JSON list, one object a client")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file; default: $MINTONCE_CONFIG")


def run_budget(options: argparse.Namespace) -> int:
    """Print the counters. Returns one of CODES. Raises MintonceError."""
    month = Month.parse(options.month) if options.month is not None else None
    found = asyncio.run(app.spent(load(options.config), options.client, month))
    if options.json:
        print(json.dumps([as_json(one) for one in found], indent=2))
    else:
        sys.stdout.write("\n".join("".join(f"{visible(line)}\n" for line in as_text(one)) for one in found))
    return max((exit_code(one) for one in found), default=FINE)


def exit_code(spent: Spent) -> int:
    """Of one client."""
    if any(window.is_used_up for window in spent.used.windows):
        return USED_UP
    return WARNED if any(window.level for window in spent.used.windows) else FINE


def as_json(spent: Spent) -> dict[str, Any]:
    """All of it. Numbers are tokens; what is not set or not known is null."""
    used, forecast = spent.used, spent.used.forecast
    return {
        "client": used.client,
        "month": str(used.month),
        "minted": dict(used.usage.minted),
        "failed": dict(used.usage.failed),
        "served": used.usage.served,
        "saved": used.usage.saved,
        "needed": spent.needed,
        "budget": [
            {"window": window.name, "limit": window.limit, "used": window.used, "level": window.level}
            for window in used.windows
        ],
        "forecast": forecast and {"expected": forecast.expected, "least": forecast.least, "most": forecast.most},
        "cost": used.cost or None,
        "currency": used.budget.currency if used.budget and used.cost else None,
    }


def as_text(spent: Spent) -> Iterator[str]:
    """Lines for people."""
    used, usage = spent.used, spent.used.usage
    yield f"{used.client} in {used.month}"
    yield f"  minted    {usage.mints:,}{_parts(usage.minted)}"
    if usage.failed:
        yield f"  failed    {sum(usage.failed.values()):,}{_parts(usage.failed)}"
    yield f"  served    {usage.served:,}"
    yield f"  saved     {usage.saved:,} (served without a request to the issuer)"
    if spent.needed:
        yield f"  needed    {spent.needed:,} a month, for the keys that have a live token now"
    for window in used.windows:
        yield f"  budget    {window.used:,} of {window.limit:,} in the {window.name} ({window.share:.0%})"
    if (forecast := used.forecast) is not None:
        yield f"  forecast  {forecast.expected:,} by the end of the month ({forecast.least:,} to {forecast.most:,})"
    if used.budget is not None and used.cost:
        yield f"  cost      {used.cost} {used.budget.currency}"


def _parts(counts: Mapping[str, int]) -> str:
    parts = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
    return f" ({parts})" if parts else ""
