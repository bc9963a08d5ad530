"""`mintonce`, as a program of its own against a real gRPC server."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from mintonce.v1 import admin_pb2, tokens_pb2, types_pb2
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer

PROGRAM = Path(sys.executable).with_name("mintonce")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def started(server: ScriptedServer, *args: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "MINTONCE_TARGET": server.target, "PYTHONWARNINGS": "error"}
    return subprocess.Popen(
        [PROGRAM, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def mintonce(server: ScriptedServer, *args: str, text: str = "") -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    with started(server, *args) as process:
        out, err = process.communicate(text, timeout=30)
        return process.returncode, out, err


def test_get_prints_the_token_and_nothing_else(server: ScriptedServer) -> None:
    """For $(mintonce get …)."""
    assert mintonce(server, "get", CLIENT, AUDIENCE) == (0, "secret-101\n", "")


def test_get_can_print_a_header(server: ScriptedServer) -> None:
    """For curl -H @-."""
    assert mintonce(server, "get", CLIENT, AUDIENCE, "--header") == (0, "Authorization: Bearer secret-101\n", "")


def test_get_can_print_everything_as_json(server: ScriptedServer) -> None:
    """One object; durations in whole seconds."""
    server.lifetime, server.refresh_in = 3600.0, 3000.0
    code, out, err = mintonce(server, "get", CLIENT, AUDIENCE, "--json")
    shown = json.loads(out)
    assert (code, err) == (0, "")
    assert 3590 < shown.pop("expires_in") < 3600
    assert 2990 < shown.pop("refresh_in") < 3000
    assert shown.pop("expire_time").endswith("Z")
    assert shown == {
        "access_token": "secret-101",
        "token_type": "Bearer",
        "generation": 101,
        "origin": "memory",
        "degraded": False,
        "scopes": ["read", "write"],
    }


def test_get_asks_for_what_was_said(server: ScriptedServer) -> None:
    """Scopes and the life that should be left."""
    mintonce(server, "get", CLIENT, AUDIENCE, "--scope", "read", "--scope", "write", "--min-ttl", "1m30s")
    expected = tokens_pb2.GetTokenRequest(
        key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE, scopes=["read", "write"])
    )
    expected.min_ttl.FromSeconds(90)
    assert server.requests == [expected]


def test_the_target_may_stand_before_or_behind_the_command(server: ScriptedServer) -> None:
    """It goes before the environment's."""
    target = ("--target", server.target)
    nowhere = ("--target", "127.0.0.1:1")
    assert mintonce(server, *nowhere, "get", CLIENT, AUDIENCE, *target)[0] == 0
    assert mintonce(server, *target, "get", CLIENT, AUDIENCE)[0] == 0
    assert mintonce(server, "ls", *nowhere)[0] == 3


def test_a_refusal_exits_with_1_and_says_what_to_do(server: ScriptedServer) -> None:
    """What happened, then the remedy; no traceback."""
    server.fail(
        "GetToken",
        grpc.StatusCode.FAILED_PRECONDITION,
        "ISSUER_REFUSED",
        remedy="Look at it.",
        issuer_error="invalid_x",
    )
    code, out, err = mintonce(server, "get", CLIENT, AUDIENCE)
    assert (code, out) == (1, "")
    assert err == ("mintonce: GetToken failed (ISSUER_REFUSED, the issuer's code: invalid_x)\nmintonce: Look at it.\n")


def test_a_passing_trouble_exits_with_3_and_says_when_to_try_again(server: ScriptedServer) -> None:
    """For scripts that repeat."""
    server.fail("GetToken", grpc.StatusCode.RESOURCE_EXHAUSTED, "ISSUER_THROTTLED", remedy="Wait.", retry_after=90.0)
    code, _, err = mintonce(server, "get", CLIENT, AUDIENCE)
    assert code == 3
    assert "Try again in 1m30s." in err


def test_no_server_exits_with_3_and_names_the_address(server: ScriptedServer) -> None:
    """And gRPC's own noise stays away."""
    server.stop()
    code, out, err = mintonce(server, "get", CLIENT, AUDIENCE)
    assert (code, out) == (3, "")
    assert [line.partition(":")[0] for line in err.splitlines()] == ["mintonce", "mintonce"]
    assert server.target in err


def test_a_server_that_does_not_answer_costs_the_timeout_and_exits_with_3(server: ScriptedServer) -> None:
    """Not forever."""
    server.hold("GetToken")
    code, _, err = mintonce(server, "--timeout", "300ms", "get", CLIENT, AUDIENCE)
    assert code == 3
    assert "no answer" in err


@pytest.mark.parametrize(
    "args",
    [
        ["get", CLIENT],
        ["get", CLIENT, AUDIENCE, "--json", "--header"],
        ["get", CLIENT, AUDIENCE, "--min-ttl", "soon"],
        ["--timeout", "0", "get", CLIENT, AUDIENCE],
        ["watch", CLIENT, AUDIENCE, "--count", "0"],
        [],
    ],
)
def test_a_wrong_command_line_exits_with_2(server: ScriptedServer, args: list[str]) -> None:
    """Before any request."""
    code, out, err = mintonce(server, *args)
    assert (code, out) == (2, "")
    assert err.startswith("usage: ")
    assert server.calls == {}


def test_watch_prints_a_line_a_successor_and_never_the_token(server: ScriptedServer) -> None:
    """It may run in a terminal that others see."""
    with started(server, "watch", CLIENT, AUDIENCE, "--count", "2") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        server.publish()
        rest, err = process.communicate(timeout=30)
    assert first.startswith("generation 101  expires in 59m59s  refresh in 5")
    assert rest.startswith("generation 102  ")
    assert (process.returncode, err) == (0, "")
    assert "secret" not in first + rest


@pytest.mark.parametrize(("flags", "shown"), [(["--json"], False), (["--json", "--show-token"], True)])
def test_watch_prints_the_token_only_where_it_was_asked_for(
    server: ScriptedServer, flags: list[str], shown: bool
) -> None:
    """JSON alone does not ask for it."""
    code, out, _ = mintonce(server, "watch", CLIENT, AUDIENCE, "--count", "1", *flags)
    assert code == 0
    assert json.loads(out)["generation"] == 101
    assert ("secret" in out) is shown


def test_watch_goes_on_after_a_restart_of_the_server(server: ScriptedServer) -> None:
    """A rolling update does not end it, and the known token is not printed again."""
    with started(server, "watch", CLIENT, AUDIENCE, "--count", "2") as process:
        assert process.stdout is not None
        process.stdout.readline()
        server.stop()
        server.start()
        server.wait_for(lambda calls: calls["WatchToken"] > 1)
        server.publish()
        rest, err = process.communicate(timeout=30)
    assert [line.split()[1] for line in rest.splitlines()] == ["102"]
    assert (process.returncode, err) == (0, "")


def test_watch_ends_with_130_when_interrupted(server: ScriptedServer) -> None:
    """In silence."""
    with started(server, "watch", CLIENT, AUDIENCE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")


INTERRUPTED_INSIDE_GRPC = """
import os, signal, sys, time
import grpc._common
from mintonce.cli import main

def wait(*_args, **_kwargs):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)
    except BaseException as error:
        raise RuntimeError("a lock is left behind") from error

grpc._common.wait = wait
sys.exit(main(sys.argv[1:]))
"""


def test_an_interrupt_raises_nothing_inside_grpc(server: ScriptedServer) -> None:
    """There it would leave a lock behind: once in some hundred times the program hung, or showed a traceback."""
    command = [sys.executable, "-c", INTERRUPTED_INSIDE_GRPC, "--target", server.target, "watch", CLIENT, AUDIENCE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (130, "")


def test_a_reader_that_has_seen_enough_is_no_error(server: ScriptedServer) -> None:
    """mintonce watch … | head -1."""
    with started(server, "watch", CLIENT, AUDIENCE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        server.publish()
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


def test_reject_rejects_the_current_token(server: ScriptedServer) -> None:
    """And says what became of it."""
    code, out, _ = mintonce(server, "reject", CLIENT, AUDIENCE)
    assert (code, out) == (0, "generation 101 was current and is rejected\n")


def test_reject_of_a_generation_that_is_not_current(server: ScriptedServer) -> None:
    """Nothing to do is no failure."""
    code, out, _ = mintonce(server, "reject", CLIENT, AUDIENCE, "--generation", "7")
    assert (code, out) == (0, "generation 7 was not current: nothing to reject\n")
    assert server.calls == {"RejectToken": 1}


def test_reject_reads_a_token_from_standard_input_only(server: ScriptedServer) -> None:
    """Arguments are seen by everybody on the host. Its hash travels, not its text; it is never printed."""
    code, out, err = mintonce(server, "reject", CLIENT, AUDIENCE, "--token-stdin", text="Bearer secret-101\n")
    (request,) = server.requests
    assert isinstance(request, tokens_pb2.RejectTokenRequest)
    assert len(request.access_token_sha256) == 32
    assert code == 0
    assert "secret" not in out + err


def test_ls_lists_without_text(server: ScriptedServer) -> None:
    """A table for people, JSON lines for programs, and a word when a part of the store is missing."""
    code, out, err = mintonce(server, "ls")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["CLIENT", "AUDIENCE", "SCOPES", "GENERATION", "EXPIRES", "IN"],
        [CLIENT, AUDIENCE, "-", "101", "59m59s"],
    ]
    assert "incomplete" in err
    _, out, _ = mintonce(server, "ls", "--json", "--client", CLIENT)
    assert json.loads(out)["expires_in"] == 3599


@pytest.mark.parametrize("sort", ["key", "expiry", "generation"])
def test_ls_prints_all_pages_under_one_heading(server: ScriptedServer, sort: str) -> None:
    """However many calls that takes."""
    server.pages = 3
    _, out, _ = mintonce(server, "ls", "--sort", sort)
    assert [line.split()[0] for line in out.splitlines()] == ["CLIENT", CLIENT, CLIENT, CLIENT]
    assert server.calls["ListTokens"] == 3


def test_ls_counts_and_filters(server: ScriptedServer) -> None:
    """By what expires soon; the count alone, for scripts."""
    server.pages = 2
    assert mintonce(server, "ls", "--count")[1] == "2\n"
    assert mintonce(server, "ls", "--count", "--expiring", "1h")[1] == "2\n"
    assert mintonce(server, "ls", "--count", "--expiring", "59m")[1] == "0\n"


def test_ls_says_that_it_lists_nothing(server: ScriptedServer) -> None:
    """To people, on stderr: no client of that name is no error, since tokens may be there without it."""
    code, out, err = mintonce(server, "ls", "--expiring", "59m")
    assert (code, out) == (0, "")
    assert "no live token expires within 3540 s\n" in err
    _, _, err = mintonce(server, "ls", "--expiring", "59m", "--client", CLIENT)
    assert f"is {CLIENT} the name of a client" in err
    assert "no live token" not in mintonce(server, "ls")[2]
    assert "no live token" not in mintonce(server, "ls", "--expiring", "59m", "--count")[2]


def test_rotate_says_what_replaced_what(server: ScriptedServer) -> None:
    """By generations; the token is never printed."""
    assert mintonce(server, "rotate", CLIENT, AUDIENCE, "--scope", "read") == (
        0,
        "generation 102 replaces generation 101\n",
        "",
    )
    (request,) = server.requests
    assert isinstance(request, admin_pb2.RotateTokenRequest)
    assert request.key.scopes == ["read"]


@pytest.mark.parametrize("command", [["get", CLIENT, AUDIENCE], ["watch", CLIENT, AUDIENCE, "--count", "1"], ["ls"]])
def test_nothing_that_a_server_says_commands_the_terminal(server: ScriptedServer, command: list[str]) -> None:
    """In an error or in an answer."""
    hostile = "x\x1b[2J\r\x07\u202ey"
    server.publish_text(hostile)
    answered = mintonce(server, *command)
    method = {"get": "GetToken", "watch": "WatchToken", "ls": "ListTokens"}[command[0]]
    denied = grpc.StatusCode.PERMISSION_DENIED
    server.fail(method, denied, "PERMISSION_DENIED", remedy=hostile, request_id=hostile, issuer_error=hostile)
    failed = mintonce(server, *command)
    assert failed[0] == 1
    assert "\\x1b[2J" in failed[2]
    for _, out, err in (answered, failed):
        assert all(line.isprintable() for line in (out + err).split("\n"))


def test_nor_does_what_was_typed(server: ScriptedServer) -> None:
    """Errors repeat the target, which may have been copied from somewhere."""
    code, out, err = mintonce(server, "--target", "x\x1b[2J\x07", "get", CLIENT, AUDIENCE)
    assert (code, out) == (1, "")
    assert all(line.isprintable() for line in err.split("\n"))


def test_the_version_and_the_exit_codes_are_told(server: ScriptedServer) -> None:
    """--help documents every exit code."""
    assert mintonce(server, "--version")[1].startswith("mintonce ")
    code, out, _ = mintonce(server, "--help")
    assert code == 0
    assert re.findall(r"^  (\d+) ", out.partition("exit codes:\n")[2], re.MULTILINE) == ["0", "1", "2", "3", "130"]


def test_python_m_mintonce_is_the_same() -> None:
    """Where the scripts folder is not on PATH."""
    done = subprocess.run(
        [sys.executable, "-m", "mintonce", "--version"], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.startswith("mintonce ")
