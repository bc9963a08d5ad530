"""The audit log: complete, whole lines, in whatever file has the name."""

import json
import subprocess
import sys
import threading
from dataclasses import fields, replace
from pathlib import Path

import pytest

from mintonce_server.common.clock import SystemClock
from mintonce_server.core.errors import AuditUnavailable
from mintonce_server.observability.audit import STANDARD_OUTPUT, AuditLog, CallRecord, MintRecord, ReloadRecord

CLOCK = SystemClock()
CALL = CallRecord(
    request_id="r1", caller="key:billing", caller_kind="api_key", peer="unix:", via="grpc", act="get", client="billing",
    audience="https://api.example.com/", scopes=("orders:read",), key="0" * 32, decision="allow", rule="billing",
    status="OK", reason="", generation=7, token_sha256="ab" * 8,
)  # fmt: skip
MINT = MintRecord(
    client="billing", audience="https://api.example.com/", scopes=(), key="0" * 32, generation=7, cause="absent",
    outcome="minted", reason="", issuer_error="", issuer_request_id="x-1", token_sha256="ab" * 8, seconds=0.12345678,
    granted_scopes=("orders:read",), granted_audience=("https://api.example.com/",),
)  # fmt: skip


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_record_is_one_line_of_json(tmp_path: Path) -> None:
    """With a version, a kind and a time; for this user alone."""
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, CLOCK) as audit:
        for record in (CALL, MINT, ReloadRecord("policy", "loaded")):
            audit.write(record)

    call, mint, reload = lines(path)
    assert [line["kind"] for line in (call, mint, reload)] == ["call", "mint", "reload"]
    assert call["v"] == 1
    assert str(call["time"]).endswith("Z")
    assert (call["scopes"], mint["seconds"]) == (["orders:read"], 0.1235)
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_in_a_record_can_begin_another_line(tmp_path: Path) -> None:
    """Nor hide behind direction marks."""
    path = tmp_path / "audit.jsonl"
    forged = 'x\n{"kind":"call","decision":"allow"}\u202e'
    with AuditLog(path, CLOCK) as audit:
        audit.write(ReloadRecord(forged, "loaded"))

    assert len(path.read_bytes().splitlines()) == 1
    assert path.read_bytes().isascii()


def test_what_looks_like_a_token_is_masked(tmp_path: Path) -> None:
    """A caller may have sent one as an audience."""
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, CLOCK) as audit:
        audit.write(ReloadRecord("Bearer " + "eyJ" + "hbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "loaded"))

    assert "eyJ" not in path.read_text()


@pytest.mark.parametrize(
    ("request_id", "written"),
    [
        ("0123456789abcdef", "0123456789abcdef"),
        ("job-4711", "job-4711"),
        ("eyJ" + "hbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "[redacted]"),
        ('0123456789abcdef","decision":"allow', '0123456789abcdef","decision":"allow'),
    ],
    ids=["ours", "a caller's", "a token", "a forged member"],
)
def test_a_request_id_of_a_caller_is_masked_and_escaped(tmp_path: Path, request_id: str, written: str) -> None:
    """Only those that the server made are written without a look."""
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, CLOCK) as audit:
        audit.write(replace(CALL, request_id=request_id, decision="deny"))

    (line,) = lines(path)
    assert (line["request_id"], line["decision"]) == (written, "deny")


def test_who_called_is_written_as_it_is(tmp_path: Path) -> None:
    """It is proven and no secret; masked, all accounts of a namespace with an unlucky name would look alike."""
    path = tmp_path / "audit.jsonl"
    subject = "jwt:cluster:system:serviceaccount:my-token:billing"
    with AuditLog(path, CLOCK) as audit:
        audit.write(replace(CALL, caller=subject))

    assert [line["caller"] for line in lines(path)] == [subject]


@pytest.mark.parametrize("field", ["scopes", "granted_scopes", "granted_audience", "audience", "detail"])
def test_scopes_and_audiences_are_written_as_they_are(tmp_path: Path, field: str) -> None:
    """Many are called `token:read` or `secret:rotate`; what looks like a token is masked all the same."""
    path = tmp_path / "audit.jsonl"
    jwt = "eyJ" + "hbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
    names = ("token:read", "secret:rotate", "urn:password:x=y", jwt)
    given = " ".join(names) if field in ("audience", "detail") else names
    with AuditLog(path, CLOCK) as audit:
        audit.write(replace(CALL, **{field: given}))  # type: ignore[arg-type] # each field has what it should

    text = path.read_text()
    assert all(name in text for name in names[:3])
    assert jwt not in text


def test_all_is_there_once_with_several_writers_and_rotations(tmp_path: Path) -> None:
    """Eight threads write two thousand records while the file is renamed five times."""
    path, written = tmp_path / "audit.jsonl", threading.Barrier(9)

    with AuditLog(path, CLOCK) as audit:

        def write(thread: int) -> None:
            written.wait()
            for number in range(250):
                audit.write(ReloadRecord(f"{thread}-{number}", "loaded"))

        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        written.wait()
        for number in range(5):
            path.rename(tmp_path / f"audit.{number}.jsonl")
            assert audit.reopen()
        for thread in threads:
            thread.join()

    found = [str(line["what"]) for file in tmp_path.iterdir() for line in lines(file)]
    assert sorted(found) == sorted(f"{thread}-{number}" for thread in range(8) for number in range(250))


def test_nothing_is_reopened_without_need(tmp_path: Path) -> None:
    """It is looked at every second."""
    with AuditLog(tmp_path / "audit.jsonl", CLOCK) as audit:
        assert not audit.reopen()


def test_a_full_disk_is_reported_to_the_writer() -> None:
    """So that nothing is handed out."""
    with AuditLog(Path("/dev/full"), CLOCK) as audit, pytest.raises(AuditUnavailable) as caught:
        audit.write(CALL)

    assert caught.value.remedy
    assert caught.value.retry_after


def test_a_file_that_cannot_be_made_is_reported_at_the_start(tmp_path: Path) -> None:
    """And not with the first call."""
    with pytest.raises(AuditUnavailable):
        AuditLog(tmp_path / "absent" / "audit.jsonl", CLOCK)


def test_without_a_file_nothing_is_written() -> None:
    """And nothing fails."""
    with AuditLog(None, CLOCK) as audit:
        audit.write(CALL)
        assert not audit.is_on
        assert not audit.reopen()


def test_the_schema_in_the_documents_is_that_of_the_records() -> None:
    """Every field is explained, and none that is not there."""
    text = (Path(__file__).parents[2] / "docs" / "security" / "audit.md").read_text()
    for record in (CallRecord, MintRecord, ReloadRecord):
        table = text.partition(f"## {record.kind}\n")[2].partition("\n## ")[0]
        named = [row.split("`")[1] for row in table.splitlines() if row.startswith("| `")]
        assert named == [field.name for field in fields(record)]


def test_standard_output_can_be_the_audit_log(capfd: pytest.CaptureFixture[str]) -> None:
    """As in a container, where no file outlives a restart. Nothing is reopened there."""
    with AuditLog(STANDARD_OUTPUT, CLOCK) as audit:
        audit.write(ReloadRecord("policy", "loaded"))
        assert not audit.reopen()
        audit.write(ReloadRecord("policy", "refused"))

    written = capfd.readouterr().out.splitlines()
    assert [json.loads(line)["outcome"] for line in written] == ["loaded", "refused"]


def test_standard_output_works_for_a_process_that_nobody_may_look_into() -> None:
    """Such a process cannot open /dev/stdout, which leads into /proc. Root can, so this shows it for other users."""
    program = (
        "from pathlib import Path\n"
        "from mintonce_server.cli.process import harden\n"
        "from mintonce_server.common.clock import SystemClock\n"
        "from mintonce_server.observability.audit import AuditLog, ReloadRecord, require_audit_file\n"
        "assert not list(harden())\n"
        "require_audit_file(Path('/dev/stdout'))\n"
        "with AuditLog(Path('/dev/stdout'), SystemClock()) as audit:\n"
        "    audit.write(ReloadRecord('policy', 'loaded'))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True, timeout=30)

    assert json.loads(done.stdout)["outcome"] == "loaded"
