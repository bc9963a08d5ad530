"""`mintonce status`: how the fleet does, on one screen, with an exit code for scripts."""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from mintonce.cli import _output
from mintonce.cli._arguments import shown
from mintonce.cli._http import Snapshot, address_of, drawn, fetch

WELL: Final = 0
NEEDS_YOU: Final = 1

UNKNOWN: Final = "-"


def status(environ: Mapping[str, str], args: argparse.Namespace) -> int:
    """Print it. Returns 0 if all is well, 1 if something needs a person. Raises Unreachable or Refused."""
    address = address_of(args.http)
    snapshot = fetch(address, environ, args.timeout, {})
    if args.json:
        _output.line(json.dumps(snapshot))
    else:
        for text in drawn(lambda: lines(snapshot), address):
            _output.line(text)
    return NEEDS_YOU if snapshot.get("level") == "trouble" else WELL


def lines(snapshot: Snapshot) -> Iterator[str]:
    """The screen."""
    yield str(snapshot["sentence"])
    for finding in rows(snapshot, "findings"):
        yield f"  {'!' if finding.get('level') == 'trouble' else '-'} {finding.get('text', '')}"
        yield from (f"    {finding[name]}" for name in ("remedy", "runbook") if finding.get(name))
    yield ""
    replica, keys, store = part(snapshot, "replica"), part(snapshot, "keys"), part(snapshot, "store")
    yield f"replica  {replica.get('name')} {replica.get('version')}, up {shown(number(replica, 'up_for'))}"
    ends = [row["soonest_end_in"] for row in rows(snapshot, "clients") if row.get("soonest_end_in") is not None]
    soonest = f", the soonest ends in {shown(min(ends))}" if ends else ""
    yield f"tokens   {sum(keys.get('by_life') or [0])} live of {keys.get('total', 0)} keys{soonest}"
    yield f"calls    {rate(replica)} a second{_at_endpoint(replica)}, {replica.get('in_flight', UNKNOWN)} in flight"
    yield f"store    {store_state(store)}, p99 {took(part(store, 'latency').get('p99'))}"
    names = [str(row.get("name", "")) for row in rows(snapshot, "issuers")]
    width = max(map(len, names), default=0)
    for name, row in zip(names, rows(snapshot, "issuers"), strict=True):
        yield f"issuer   {name.ljust(width)}  {_issuer(row)}"


def _at_endpoint(replica: Mapping[str, Any]) -> str:
    """The calls that come to the token endpoint; "" where none listens."""
    endpoint = part(replica, "token_endpoint")
    found = endpoint.get("requests_per_second")
    if not endpoint.get("listen") or not isinstance(found, (int, float)):
        return ""
    return f" ({found:,.1f} at the token endpoint)"


def _issuer(row: Mapping[str, Any]) -> str:
    failed = part(row, "failed")
    latency = f"p99 {took(part(row, 'latency').get('p99'))}"
    if failed.get("lasting"):
        code = f" ({failed['issuer_error']})" if failed.get("issuer_error") else ""
        return f"failing: {failed.get('reason')}{code}, {latency}"
    ago = row.get("succeeded_ago")
    return "not asked yet" if ago is None else f"well, last token {shown(ago)} ago, {latency}"


def part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object in it; empty if the server does not say."""
    found = values.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def rows(values: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects of a list in it."""
    found = values.get(name)
    listed = cast("list[object]", found) if isinstance(found, list) else []
    return [cast("Mapping[str, Any]", row) for row in listed if isinstance(row, dict)]


def number(values: Mapping[str, Any], name: str) -> float:
    """0 if the server does not say."""
    found = values.get(name)
    return float(found) if isinstance(found, (int, float)) else 0.0


def store_state(store: Mapping[str, Any]) -> str:
    """up, away for 3m10s, or not asked yet."""
    is_up = store.get("is_up")
    if is_up is None:
        return "not asked yet"
    return "up" if is_up else f"away for {shown(number(store, 'away_for'))}"


def rate(replica: Mapping[str, Any]) -> str:
    """Calls a second."""
    found = replica.get("calls_per_second")
    return UNKNOWN if found is None else f"{found:,.1f}"


def took(seconds: Any) -> str:
    """1.2 ms, 310 ms, 1.1 s."""
    if not isinstance(seconds, (int, float)):
        return UNKNOWN
    if seconds >= 1.0:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"
