"""The report of a soak, in Markdown."""

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from soak.fleet import SETUP, WITNESS
from soak.gauges import MIB, Flatness, Sample
from soak.keys import LONG, RARE, SHORT
from soak.run import PROCESSES, Soak

SHOWN: Final = 10
"""Breaches of a law that are printed."""
NOT_TESTED: Final = f"""\
- Sentinel and Cluster: here is one Valkey. The fault run has them (chaos.md).
- Growth over hours. Only {WITNESS}, which is never killed, is measured over the whole run.
- How many POSTs each fault may cost: the fault run and the simulator hold each of them to its cause.
- An issuer that hands out a rejected token again.
- Tasks are counted by a task of the test's own inside the server's process (tests/support/measured_server.py): the
  product has no way to ask for them."""


def render(soak: Soak, command: str) -> str:
    """`command`: what made it."""
    parts = [
        "# Soak\n",
        "Written by the program; do not edit.\n",
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {_machine()}.\n",
        _setting(),
        "## Laws\n",
        _table(("law", "broken"), [(law, str(len(found)) if found else "no") for law, found in soak.broken.items()]),
        "## In short\n",
        _summary(soak),
        f"## What {WITNESS} held\n",
        "Medians of the halves of the run, after a warm-up of a fifth of it.\n",
        _table(("what", "first half", "second half", "allowed"), map(_flatness, soak.flat)),
        "The other replicas at the end of the run:\n",
        _others(soak.samples),
        "## What was done to the fleet\n",
        _table(("trouble", "times"), [(kind, str(count)) for kind, count in sorted(soak.troubles.items())]),
        "## How calls ended\n",
        _table(("call and status", "calls"), [(kind, f"{count:,}") for kind, count in sorted(soak.calls.items())]),
        "## What was broken\n",
        _broken(soak),
        "\n## Not tested here\n",
        NOT_TESTED,
    ]
    return "\n".join(parts) + "\n"


def _machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}"


def _setting() -> str:
    return (
        f"{SETUP.replicas} replicas, one Valkey, one practice issuer; {PROCESSES} client processes. Tokens of "
        f"{len(SHORT)} keys in use and {len(RARE)} rare ones live {SETUP.lifetime} s, those of {len(LONG)} keys "
        f"{SETUP.long_lifetime} s. Lease {SETUP.lease:g} s, revalidation {SETUP.revalidate:g} s, between rejections "
        f"{SETUP.min_rotation:g} s, store deadline {SETUP.store:g} s. Store, issuer and replicas are in trouble at the "
        "same time, each of them by its own seeded schedule.\n"
    )


def _summary(soak: Soak) -> str:
    calls = sum(soak.calls.values())
    rows = [
        ("seed", str(soak.seed)),
        ("lasted", f"{soak.seconds:.0f} s"),
        ("calls and watched tokens", f"{calls:,}"),
        ("GetToken answered", f"{soak.calls['get OK']:,} of {_of(soak, 'get '):,}"),
        ("slowest GetToken", f"{soak.slowest:.2f} s"),
        ("calls left out, since their replica's event loop was late", f"{soak.excused:,}"),
        ("rejections that counted", f"{soak.rejections:,}"),
        (
            "rejections of generations that never were",
            ", ".join(f"{count:,} {status}" for status, count in sorted(soak.unreal.items())) or "none",
        ),
        ("POSTs", f"{soak.posts:,}, of which {soak.minted:,} minted a token"),
        ("troubles", f"{sum(soak.troubles.values()):,}"),
        ("all well after healing", "never" if soak.recovery is None else f"{soak.recovery:.1f} s"),
    ]
    return _table(("", ""), rows)


def _of(soak: Soak, start: str) -> int:
    return sum(count for kind, count in soak.calls.items() if kind.startswith(start))


def _flatness(one: Flatness) -> tuple[str, str, str, str]:
    unit = MIB if "memory" in one.what else 1
    suffix = " MiB" if "memory" in one.what else ""
    first, second, allowed = (f"{value / unit:,.1f}{suffix}" for value in (one.first, one.second, one.allowed))
    return one.what, first, second, allowed if one.flat else f"**{allowed}**"


def _others(samples: Sequence[Sample]) -> str:
    last = {taken.replica: taken for taken in samples}
    lives = {name: len({taken.pid for taken in samples if taken.replica == name}) for name in last}
    rows = [
        (
            name,
            str(lives[name]),
            f"{taken.rss / MIB:.1f} MiB",
            str(taken.descriptors),
            str(taken.threads),
            str(taken.tasks),
        )
        for name, taken in sorted(last.items())
        if name != WITNESS
    ]
    return _table(("replica", "processes", "memory", "descriptors", "threads", "tasks"), rows)


def _broken(soak: Soak) -> str:
    parts: list[str] = []
    for law, found in soak.broken.items():
        shown = [*found[:SHOWN], *([f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else [])]
        if shown:
            parts.append(f"{law}:\n\n```\n" + "\n".join(shown) + "\n```\n")
    return "\n".join(parts) or "Nothing."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
