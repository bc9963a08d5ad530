"""Programs that people run, each with the Python client in it: web servers, task queues, forks, notebooks."""

from collections.abc import Iterator, Sequence
from typing import Final

from interop.chosen import chosen
from interop.programs.environment import NotHere, make, version
from interop.programs.running import Seen, observe, practice_server
from interop.programs.subjects import SUBJECTS, Subject
from interop.rows import Row

SECONDS: Final = 60.0
"""How long each program runs: ten lives of a token."""


def run(only: Sequence[str], seconds: float = SECONDS) -> Iterator[Row]:
    """The rows of these programs, or of all of them if none is named. Raises UnknownSubject."""
    subjects = list(chosen(SUBJECTS, only))
    try:
        make()
    except NotHere as error:
        for subject in subjects:
            yield Row(subject.name, "", "no failed request", "not run", str(error))
        return
    with practice_server() as target:
        for subject in subjects:
            yield from _rows(subject, observe(subject, target, seconds))


def _rows(subject: Subject, seen: Seen) -> Iterator[Row]:
    number = version(subject.package)

    def row(feature: str, works: bool, note: str) -> Row:
        return Row(subject.name, number, feature, "works" if works else "fails", note)

    if subject.refusal:
        said = any(subject.refusal in line for line in seen.printed)
        yield Row(subject.name, number, "no failed request", "refused" if said else "fails", subject.refusal)
        return
    failures = f"{len(seen.failures)} failures of {seen.calls} calls; {'; '.join(dict.fromkeys(seen.failures))}"[:300]
    fine = seen.calls > 0 and not seen.failures
    yield row("no failed request", fine, "" if fine else failures)
    fewest = min((len(each) for each in seen.generations.values()), default=0)
    renewed = fewest > 1 and len(seen.generations) >= subject.processes
    yield row(
        "tokens renewed in each process",
        renewed,
        "" if renewed else f"{seen.calls} calls, {dict(seen.generations)}"[:300],
    )
    yield row("clean end", seen.code in subject.codes, "" if seen.code in subject.codes else f"exit code {seen.code}")
    yield row("no orphan", seen.orphans == 0, f"{seen.orphans} processes" if seen.orphans else "")
    yield row("nothing printed", not seen.printed, "; ".join(dict.fromkeys(seen.printed))[:300])
