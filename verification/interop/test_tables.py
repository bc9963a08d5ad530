"""How results are kept and shown. What is run is run by `make interop`."""

from pathlib import Path

from interop.results import SubjectRun, lost, merged, read, write
from interop.rows import Row
from interop.tables import page

WORKED = Row("acme", "1.0", "mints once", "works", "40 calls | 1 POST")
FAILED = Row("acme", "1.0", "mints once", "fails", "2 POSTs")
MISSING = Row("acme", "1.0", "mints once", "not run", "no Java here")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Rows come back as they were, with the day of the run."""
    runs = {"acme": SubjectRun("2026-01-31", (WORKED,))}
    write("issuers", runs, tmp_path)
    assert read("issuers", tmp_path) == runs


def test_a_subject_that_cannot_be_run_here_keeps_its_results() -> None:
    """Otherwise a machine without Java would erase what others found out."""
    before = {"acme": SubjectRun("2026-01-31", (WORKED,))}
    assert merged(before, [MISSING], "2026-02-01") == before
    assert merged({}, [MISSING], "2026-02-01") == {"acme": SubjectRun("2026-02-01", (MISSING,))}


def test_a_new_run_replaces_the_subject_and_no_other() -> None:
    """`--only` runs leave the rest of the table alone."""
    other = SubjectRun("2026-01-30", (Row("other", "2", "mints once", "works"),))
    before = {"acme": SubjectRun("2026-01-31", (WORKED,)), "other": other}
    assert merged(before, [FAILED], "2026-02-01") == {"acme": SubjectRun("2026-02-01", (FAILED,)), "other": other}


def test_a_run_is_bad_if_something_has_ceased_to_work() -> None:
    """Or if it fails when it is first tried. Not if it was refused or failed before, or could not be run."""
    refused = Row("acme", "1.0", "mints once", "refused")
    worked = {"acme": SubjectRun("2026-01-31", (WORKED,))}
    failed = {"acme": SubjectRun("2026-01-31", (FAILED,))}
    assert (lost(worked, [FAILED]), lost(worked, [refused]), lost({}, [FAILED])) == ([FAILED], [refused], [FAILED])
    assert (lost(worked, [MISSING]), lost({}, [refused]), lost(failed, [FAILED])) == ([], [], [])


def test_the_page_has_a_cell_for_each_feature_and_the_notes_below() -> None:
    """A note that is true of several subjects stands once. Its own bars do not end a cell."""
    other = Row("other", "2", "mints once", "works", WORKED.note)
    runs = {"acme": SubjectRun("2026-01-31", (WORKED,)), "other": SubjectRun("2026-01-31", (other,))}
    shown = page({"issuers": runs})
    assert "| acme | ✓ |" in shown
    assert "- acme, other: 40 calls \\| 1 POST" in shown
    assert "| acme | 1.0 | 2026-01-31 |" in shown
