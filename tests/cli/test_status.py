"""`mintonce status`: a screen for people, an exit code for cron."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mintonce_server.core.status import StatusSnapshot
from support.snapshots import busy
from support.status_server import StatusServer

PROGRAM = Path(sys.executable).with_name("mintonce")


@pytest.fixture
def server() -> Iterator[StatusServer]:
    with StatusServer() as running:
        yield running


def mintonce(*args: str, **variables: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MINTONCE_")}
    done = subprocess.run(
        [PROGRAM, *args], capture_output=True, text=True, timeout=30, check=False, env={**environ, **variables}
    )
    return done.returncode, done.stdout, done.stderr


def test_all_is_well_is_zero(server: StatusServer) -> None:
    """One screen: what a person asks first."""
    server.snapshot = busy(well=True)
    code, out, err = mintonce("status", "--http", server.url)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "All is well.",
        "",
        "replica  mintonce-7d9f-x2k 0.2.0, up 3d0h",
        "tokens   8 live of 8 keys, the soonest ends in 41m0s",
        "calls    1,204.3 a second (310.5 at the token endpoint), 12 in flight",
        "store    up, p99 1.2 ms",
        "issuer   acme     well, last token 12s ago, p99 310 ms",
        "issuer   partner  well, last token 2m40s ago, p99 1.1 s",
    ]


def test_what_needs_you_is_one_and_stands_first(server: StatusServer) -> None:
    """With the remedy, and the page of the runbook."""
    code, out, err = mintonce("status", MINTONCE_STATUS_URL=server.url)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == "1 thing needs you."
    assert lines[1].startswith("  ! Issuer “partner” refuses client “reports” (invalid_client)")
    assert lines[2].startswith("    Check the client_id and the secret")
    assert lines[3].endswith("runbook.md#the-issuer-refuses-the-client")
    assert lines[-1] == "issuer   partner  failing: ISSUER_REFUSED (invalid_client), p99 1.1 s"


def test_json_is_what_the_server_says(server: StatusServer) -> None:
    """One line, and the same exit code."""
    code, out, _ = mintonce("status", "--json", "--http", server.url)
    body = json.loads(out)
    assert (code, body["v"], body["sentence"], len(body["keys"]["rows"])) == (1, 1, "1 thing needs you.", 9)


def test_out_of_reach_is_three() -> None:
    """With what to set."""
    code, out, err = mintonce("status", "--http", "http://127.0.0.1:1")
    assert (code, out) == (3, "")
    assert "cannot reach the status page at 127.0.0.1:1: nothing listens there" in err
    assert "[http] listen" in err


def test_a_server_that_knows_nothing_yet_is_shown(server: StatusServer) -> None:
    """A field that is missing is not known."""
    server.snapshot = StatusSnapshot(as_of=0.0)
    assert mintonce("status", "--http", server.url)[0] == 0
    server.body = '{"v": 9, "sentence": "All is well.", "replica": 3, "keys": null, "issuers": [1]}'
    code, out, err = mintonce("status", "--http", server.url)
    assert (code, err) == (0, "")
    assert out.startswith("All is well.\n")


NUMBERS = '{"sentence": "x", "replica": {"up_for": %s}, "store": {"latency": {"p99": %s}}}'


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{",
        "<html>",
        "{}",
        *(NUMBERS % (number, number) for number in ("1e400", "-1e400", f"1{'0' * 400}", f"1{'0' * 5000}", "1e300")),
        '{"sentence": "x", "replica": {"calls_per_second": "many"}}',
        '{"sentence": "x", "keys": {"by_life": ["y"]}}',
        '{"sentence": "x", "clients": [{"soonest_end_in": 1}, {"soonest_end_in": "y"}]}',
        '{"sentence": "x", "issuers": [{"succeeded_ago": []}]}',
    ],
    ids=lambda body: body[:60],
)
def test_what_is_no_status_page_is_said(server: StatusServer, body: str) -> None:
    """And nothing of it is shown."""
    server.body = body
    code, out, err = mintonce("status", "--http", server.url)
    assert (code, out) == (1, "")
    assert "is no status page of Mintonce" in err
    assert "Traceback" not in err


def test_a_key_goes_to_the_server_and_to_nobody_else(server: StatusServer, tmp_path: Path) -> None:
    """Not in clear beyond this host, and not where an answer leads."""
    key = tmp_path / "key"
    key.write_text("mok_secret-canary\n")
    assert mintonce("status", "--api-key-file", str(key), "--http", server.url)[0] == 1
    assert server.authorization == "Bearer mok_secret-canary"
    code, _, err = mintonce("status", "--api-key-file", str(key), "--http", "http://mintonce.example:9464")
    assert code == 1
    assert "without TLS" in err
    assert "canary" not in err
    server.status = 302
    before = len(server.asked)
    assert mintonce("status", "--api-key-file", str(key), "--http", server.url)[0] == 1
    assert len(server.asked) == before + 1


@pytest.mark.parametrize(("status", "expected"), [(401, 1), (403, 1), (404, 1), (503, 3)])
def test_a_refusal_is_said_in_the_servers_words(server: StatusServer, status: int, expected: int) -> None:
    """Escaped, for a terminal."""
    server.status, server.body = status, "the call has no credentials\x1b[2J"
    code, _, err = mintonce("status", "--http", server.url)
    assert code == expected
    assert f"answered {status}: the call has no credentials\\x1b[2J" in err


@pytest.mark.parametrize(
    "url", ["ftp://host", "http://", "host:9464", "http://host:port", "http://user:pw@host", "http://host/x"]
)
def test_a_malformed_address_is_refused(url: str) -> None:
    """With the forms that are accepted, and without what was written: it may hold a password."""
    code, _, err = mintonce("status", "--http", url)
    assert code == 1
    assert "http://HOST:PORT" in err
    assert "pw" not in err


def test_texts_of_the_server_do_not_reach_the_terminal_as_commands(server: StatusServer) -> None:
    """An audience is a text of a caller's."""
    evil = "\x1b]0;evil\x07"
    server.snapshot = replace(busy(), findings=(replace(busy().findings[0], text=evil),))
    _, out, _ = mintonce("status", "--http", server.url)
    assert "\x1b" not in out
    assert "\\x1b]0;evil\\x07" in out
