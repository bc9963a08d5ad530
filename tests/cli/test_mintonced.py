"""`mintonced`: what it prints when something is wrong."""

import pytest

from mintonce_server.cli.main import main


@pytest.mark.parametrize("argv", [["health", "--target", "x\x1b[2J\x07"], ["apikey", "x\x1b[2J"]])
def test_a_complaint_cannot_command_the_terminal(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it repeats: an address, an answer, a text of a library."""
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err
    assert all(line.isprintable() for line in err.splitlines())
