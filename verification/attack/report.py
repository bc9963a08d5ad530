"""The report of an attack run, in Markdown."""

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from attack.bystander import Bystander
from attack.campaign import SILENT, Run
from attack.figures import Figures
from attack.measuring import CLOSED_WITHIN, Measured

LAWS: Final = """\
The laws: a call ends with a status of the table of errors, never INTERNAL or UNKNOWN; the server lives; a token is for
what was asked; no text of a caller begins a log line; what is unreadable in the store costs at most three POSTs for a
key; an unreadable file or answer is an error of ours.
"""
FLOODED: Final = """\
The other calls 10 ms after each answer, on a connection of its own; so does one at the token endpoint, from another
address. Limits: the product's own.
"""
NOT_TESTED: Final = """\
- Coverage-guided fuzzing: examples are drawn from strategies (Hypothesis), which know the formats, not the branches.
- HTTP/2 itself beyond half-open calls and resets (frames, HPACK), and TLS of the gRPC port: that is gRPC's own code.
  Floods here are in clear, but for the handshakes at the token endpoint.
- Floods from many hosts, and floods of the network: all runs on one machine, flooders and server on the same cores, so
  that latencies tell how cores are shared, too.
- Hours: leaks that show only after days.
- A writer of Redis who holds leases for ever or empties the store again and again: he can stop a key, as the threat
  model says.
- The search for secrets in logs, errors, the store, reprs and processes is part of `make test`
  (tests/e2e/test_nothing_leaks.py, tests/e2e/test_nothing_in_clear.py, verification/attack/test_canaries.py)."""


def render(run: Run, *, command: str) -> str:
    """`command`: what made it."""
    parts = [
        "# Attack run\n",
        "Written by the program; do not edit. What is defended, and how: [the threat model](../model.md).\n",
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {_machine()}.\n",
        "## Fuzzing\n",
        LAWS,
        _fuzzing(run.figures.values()),
        "## One caller floods, another asks for its token\n",
        FLOODED,
        _floods(run.floods),
        _descriptors(run.descriptors),
        "## What was broken\n",
        "\n".join(f"- {law}" for law in run.broken) or "Nothing.",
        "\n## Not tested here\n",
        NOT_TESTED,
    ]
    return "\n".join(parts) + "\n"


def _machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}"


def _fuzzing(all_figures: Iterable[Figures]) -> str:
    rows = ["| what | examples | seconds | how they ended | laws broken |", "|---|---:|---:|---|---:|"]
    for one in all_figures:
        ended = ", ".join(f"{outcome} {count}" for outcome, count in one.outcomes.most_common())
        rows.append(f"| {one.name} | {one.examples} | {one.seconds:.0f} | {ended} | {one.broken.total()} |")
    return "\n".join(rows) + "\n"


def _floods(measured: Iterable[Measured]) -> str:
    columns = "flood | strikes | the other: answered, failed | p50 alone → flooded | p99 | slowest | × p50"
    rows = [
        f"| {columns} | token endpoint: answered, failed, slowest | probes: the same | memory + | keys |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    rows += [
        f"| {one.name} | {one.strikes} in {one.seconds:.0f} s | {len(one.beside.took)}, {len(one.beside.failed)} "
        f"| {_both(one, 0.5)} | {_both(one, 0.99)} | {_both(one, 1.0)} | {_ratio(one.alone, one.beside)} "
        f"| {len(one.at_door.took)}, {len(one.at_door.failed)}, {max(one.at_door.took, default=0) * 1000:.0f} ms "
        f"| {len(one.probes.took)}, {len(one.probes.failed)}, {max(one.probes.took, default=0) * 1000:.0f} ms "
        f"| {one.memory / 2**20:.0f} MiB | {one.keys} |"
        for one in measured
    ]
    return "\n".join(rows) + "\n"


def _both(one: Measured, of: float) -> str:
    return f"{one.alone.percentile(of) * 1000:.1f} → {one.beside.percentile(of) * 1000:.1f} ms"


def _ratio(alone: Bystander, beside: Bystander) -> str:
    return f"{beside.percentile(0.5) / alone.percentile(0.5):.1f}"


def _descriptors(counted: tuple[int, int, int]) -> str:
    before, with_them, after = counted
    return (
        f"{SILENT} connections that say nothing: the server had {before} descriptors before, {with_them} with them, "
        f"and {after} {CLOSED_WITHIN:.0f} s later.\n"
    )
