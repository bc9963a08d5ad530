"""The report of a fault run, in Markdown."""

import os
import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Final

from chaos.campaign import DEFAULTS
from chaos.digest import Digest
from chaos.rig import Setup
from history.figures import Spread, spread

DEAF: Final = "subscriber-hole"
EXTRA: Final = """\
A mint alone, while the store is out of reach, makes a generation of its own and is none of these. Allowed is what the
mint law adds for the faults that were injected: crashes, stalls, failed mints, rejections, lost writes, outages.
"""
NOT_TESTED: Final = """\
- Loss of single packets, and delays that differ in the two directions: the proxies speak whole commands and replies.
- Proxies before Sentinels and Cluster nodes, which announce their own addresses. There servers are killed, stopped,
  failed over and emptied; commands held and replies lost are tested before a single server.
- Failures of whole hosts, full disks, exhausted memory or descriptors; TLS to the store.
- Wall clocks that jump while a replica runs: here one is wrong from its start. Monotonic clocks are taken to be right.
- More than four replicas, and hours of load: all of it runs on one machine, which the callers share.
- Tokens for callers without the right to them, and secrets in clear: other tests look for these."""


@dataclass
class Run:
    """All that was played. `shown`: with the product's own settings."""

    digests: list[Digest] = field(default_factory=list[Digest])
    shown: list[Digest] = field(default_factory=list[Digest])

    @property
    def all(self) -> list[Digest]:
        return [*self.shown, *self.digests]

    @property
    def broken(self) -> int:
        """Scenarios in which a promise was not kept."""
        return sum(bool(digest.problems) for digest in self.all)


def render(run: Run, *, command: str, mutants: str) -> str:
    """`command`: what made it. `mutants`: how many were caught, "" if not given."""
    parts = [
        "# Fault run\n",
        "Written by the program; do not edit. What the promises are: [guarantees.md](../../guarantees.md).\n",
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {_machine()}.\n",
        _settings(),
        "## In short\n",
        _summary(run, mutants),
        "## Shown with the product's own settings\n",
        _shown(run.shown),
        "## By scenario\n",
        _scenarios(run.digests),
        "## POSTs beyond one a generation, by cause\n",
        EXTRA,
        _extra(run.digests),
        "## What was broken\n",
        "\n".join(f"```\n{digest}\n```" for digest in run.all if digest.problems) or "Nothing.",
        "\n## Not tested here\n",
        NOT_TESTED,
    ]
    return "\n".join(parts) + "\n"


def _machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}"


def _settings() -> str:
    setup = Setup()
    return (
        f"{setup.replicas} replicas, lease {setup.lease:g} s, revalidation {setup.revalidate:g} s, between rejections "
        f"{setup.min_rotation:g} s, mint deadline {setup.mint:g} s; tokens live {setup.lifetime} s, one key in each "
        f"scenario {setup.long_lifetime} s. Shorter than the defaults, so that much happens in little time; the "
        "bounds that follow from these settings are as much shorter.\n"
    )


def _summary(run: Run, mutants: str) -> str:
    digests = run.all
    posts, generations = _sum(digests, "posts"), _sum(digests, "generations")
    heard = spread(waited for digest in digests if digest.name != DEAF for waited in digest.waits)
    deaf = spread(waited for digest in digests if digest.name == DEAF for waited in digest.waits)
    seeds = sorted({digest.seed for digest in run.digests})
    rows = [
        ("scenarios played", f"{len(digests)} ({run.broken} broken)"),
        ("seeds", _ranges(seeds)),
        ("operations checked", f"{_sum(digests, 'operations'):,}"),
        ("faults injected", f"{_sum(digests, 'faults'):,}"),
        ("POSTs", f"{posts:,} for {generations:,} generations: {posts / max(generations, 1):.3f} a generation"),
        ("wake-up of a waiter after the commit", _ms(heard)),
        ("the same, while no wake-up message arrives", _ms(deaf)),
        ("longest that a token was served after it had a successor", f"{_most(digests, 'staleness'):.2f} s"),
        ("replicas that ended by themselves (H15)", f"{_sum(digests, 'ends')}"),
        ("slowest recovery after healing", f"{_most(digests, 'recovery'):.2f} s"),
        ("calls left out, since the machine stood still", f"{_sum(digests, 'excused'):,}"),
        ("store deadlines that a busy machine missed", f"{_sum(digests, 'busy'):,} (counted as outages)"),
        ("mutants caught", mutants or "not counted in this run"),
    ]
    return _table(("", ""), rows)


def _shown(digests: Sequence[Digest]) -> str:
    if not digests:
        return "Not in this run.\n"
    found = {digest.name: digest.notes for digest in digests}
    rows: list[tuple[str, ...]] = []
    if notes := found.get("kill-before-commit"):
        rows.append(
            (
                f"{DEFAULTS.replicas} replicas, kill -9 of the lease's holder between POST and commit",
                f"≤ 2 POSTs; all answered within {DEFAULTS.lease + 1.0:g} s",
                f"{notes.get('posts', 0):.0f} POSTs; {notes.get('answered_after', 0.0):.2f} s",
            )
        )
    rows += [_to_the_end(digest) for digest in digests if digest.name in _TO_THE_END]
    return _table(("what", "promised", "measured"), rows)


_TO_THE_END: Final = {
    "issuer-gone": "issuer failing for the rest of a token's life",
    "issuer-and-store-gone": "the same, with Redis stopped",
}


def _to_the_end(digest: Digest) -> tuple[str, ...]:
    notes = digest.notes
    served = f"{notes.get('served_in_life', 0):.0f} of {notes.get('calls_in_life', 0):.0f} calls served in its life"
    after = f"{notes.get('honest', 0):.0f} of {notes.get('calls_after', 0):.0f} after it told so"
    promised = "100 % served until its end, then UNAVAILABLE with RetryInfo"
    return _TO_THE_END[digest.name], promised, f"{served}, {after}"


def _scenarios(digests: Sequence[Digest]) -> str:
    groups: dict[tuple[str, str], list[Digest]] = defaultdict(list)
    for digest in digests:
        groups[digest.name, digest.topology].append(digest)
    rows = [
        (
            name,
            topology,
            str(len(group)),
            str(_sum(group, "posts")),
            str(_sum(group, "generations")),
            f"{median(digest.recovery for digest in group):.2f} / {_most(group, 'recovery'):.2f} s",
            f"{_most(group, 'staleness'):.2f} s",
            str(sum(bool(digest.problems) for digest in group)),
        )
        for (name, topology), group in sorted(groups.items())
    ]
    head = ("scenario", "topology", "runs", "POSTs", "generations", "recovery p50 / max", "staleness", "broken")
    return _table(head, rows)


def _extra(digests: Iterable[Digest]) -> str:
    posts: Counter[str] = Counter()
    allowed: Counter[str] = Counter()
    for digest in digests:
        for cause, extra in digest.extra.items():
            posts[cause] += extra.posts
            allowed[cause] += extra.allowed
    rows = [(cause, str(posts[cause]), str(allowed[cause])) for cause in sorted(posts | allowed)]
    return _table(("cause", "extra POSTs", "allowed by the mint law"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _ms(measured: Spread) -> str:
    if not measured.count:
        return "none"
    p50, p99, most = (f"{seconds * 1000:.0f} ms" for seconds in (measured.p50, measured.p99, measured.most))
    return f"p50 {p50}, p99 {p99}, max {most}, {measured.count:,} waits"


def _ranges(seeds: Sequence[int]) -> str:
    return f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else "".join(map(str, seeds)) or "none"


def _sum(digests: Iterable[Digest], field_name: str) -> int:
    return sum(getattr(digest, field_name) for digest in digests)


def _most(digests: Iterable[Digest], field_name: str) -> float:
    return max((getattr(digest, field_name) for digest in digests), default=0.0)
