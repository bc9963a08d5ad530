"""`mintonce` with arguments, input and output that cannot be used: a short line and an exit code, no traceback."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer

PROGRAM = Path(sys.executable).with_name("mintonce")
NO_TEXT = os.fsdecode(b"caf\xe9")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def environment(server: ScriptedServer, **variables: str) -> dict[str, str]:
    """With Python's buffers, as users have them: what is in one is written at the end."""
    return {**os.environ, "MINTONCE_TARGET": server.target, "PYTHONUNBUFFERED": "", **variables}


def shell(server: ScriptedServer, line: str, *args: str, **variables: str) -> tuple[int, str]:
    """Exit code and standard error of a line of sh, where "$@" stands for the program and these arguments."""
    done = subprocess.run(
        ["sh", "-c", line, "sh", PROGRAM, *args],
        capture_output=True,
        timeout=30,
        check=False,
        env=environment(server, PYTHONWARNINGS="error", **variables),
    )
    err = done.stderr.decode()
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    return done.returncode, err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["reject", CLIENT, AUDIENCE, "--generation", "9223372036854775808"], "argument --generation: must be a whole"),
        (["reject", CLIENT, AUDIENCE, "--generation", "0"], "argument --generation: must be a whole"),
        (["reject", CLIENT, AUDIENCE, "--generation", "9" * 5000], "argument --generation: must be a whole"),
        (["watch", CLIENT, AUDIENCE, "--count", "9" * 5000], "argument --count: must be a whole"),
        (["get", CLIENT, AUDIENCE, "--min-ttl", "9" * 17], "argument --min-ttl: is too long"),
        (["get", CLIENT, AUDIENCE, "--min-ttl", "9" * 400], "argument --min-ttl: is too long"),
        (["get", CLIENT, AUDIENCE, "--timeout", "9" * 400 + "d"], "argument --timeout: is too long"),
        (["get", NO_TEXT, AUDIENCE], "argument CLIENT: is not UTF-8"),
        (["get", CLIENT, NO_TEXT], "argument AUDIENCE: is not UTF-8"),
        (["watch", CLIENT, AUDIENCE, "--scope", NO_TEXT], "argument --scope: is not UTF-8"),
        (["ls", "--client", NO_TEXT], "argument --client: is not UTF-8"),
        (["ls", "--target", NO_TEXT], "argument --target: is not UTF-8"),
        (["ls", "--server-name", NO_TEXT], "argument --server-name: is not UTF-8"),
    ],
)
def test_what_no_message_can_hold_is_a_wrong_command_line(server: ScriptedServer, args: list[str], said: str) -> None:
    """The last line names the argument and what is accepted; there is no request."""
    code, err = shell(server, '"$@"', *args)
    assert code == 2
    assert said in err.splitlines()[-1]
    assert server.calls == {}


def test_a_target_of_the_environment_that_is_no_text(server: ScriptedServer) -> None:
    """It is no argument, and it is refused all the same."""
    code, err = shell(server, '"$@"', "ls", MINTONCE_TARGET=NO_TEXT)
    assert code == 1
    assert err.startswith("mintonce: the target is not text in UTF-8")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (r"""printf '\377\376' | "$@" """, "no access token in its first line"),
        (r"""printf 'caf\303\251\n' | "$@" """, "no access token in its first line"),
        (r"""printf '\nsecret\n' | "$@" """, "nothing in its first line"),
        ('"$@" </dev/null', "nothing in its first line"),
        ('"$@" <&-', "standard input is closed"),
    ],
)
def test_standard_input_without_a_token(server: ScriptedServer, line: str, said: str) -> None:
    """One line with the remedy, exit code 2, and nothing is rejected."""
    code, err = shell(server, line, "reject", CLIENT, AUDIENCE, "--token-stdin")
    assert (code, len(err.splitlines())) == (2, 1)
    assert said in err
    assert "Give it the token" in err
    assert server.calls == {}


@pytest.mark.parametrize("command", [["get", CLIENT, AUDIENCE], ["ls"], ["--help"], ["--version"]])
def test_output_that_cannot_be_written(server: ScriptedServer, command: list[str]) -> None:
    """A full disk is named, in one line with the remedy, and the exit code is no success."""
    code, err = shell(server, '"$@" >/dev/full', *command)
    assert (code, len(err.splitlines())) == (1, 1)
    assert "standard output cannot be written: No space left on device." in err


def test_output_that_is_closed(server: ScriptedServer) -> None:
    """A token that goes nowhere is no success."""
    code, err = shell(server, '"$@" >&-', "get", CLIENT, AUDIENCE)
    assert code == 1
    assert "standard output cannot be written: it is closed." in err


def test_errors_that_cannot_be_written(server: ScriptedServer) -> None:
    """The exit code is left to tell."""
    server.stop()
    assert shell(server, '"$@" 2>/dev/full', "get", CLIENT, AUDIENCE)[0] == 3


@pytest.mark.parametrize("command", [["get", CLIENT, AUDIENCE], ["ls"], ["--help"]])
def test_a_pipe_without_a_reader_ends_quietly(server: ScriptedServer, command: list[str]) -> None:
    """As `mintonce … | true`; here the reader is surely gone before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [PROGRAM, *command],
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
            env=environment(server),
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_letters_that_the_terminal_does_not_have(server: ScriptedServer) -> None:
    """They are shown as escapes."""
    server.fail("GetToken", grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", remedy="caf\xe9")
    done = subprocess.run(
        [PROGRAM, "get", CLIENT, AUDIENCE],
        capture_output=True,
        timeout=30,
        check=False,
        env=environment(server, PYTHONIOENCODING="ascii"),
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"caf\\xe9" in done.stderr
