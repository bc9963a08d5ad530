"""`mintonced explain`: which rule decides, or what is missing."""

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from mintonce_server.cli.explain import ONE_NAME, SEVERAL_NAMES, NoPolicy, add_explain, explain, run_explain
from mintonce_server.config import SettingsError
from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.policy import OPEN, Act

GUIDE = Path(__file__).parents[2] / "docs/security/policy.md"
API = "https://api.example.com/"

POLICY = f"""
[[rules]]
name = "pay"
callers = ["key:pay*"]
clients = ["billing", "gone"]
audiences = ["{API}**"]
scopes = ["", "read"]

[[rules]]
name = "admin"
callers = ["key:*"]
clients = ["*"]
audiences = ["*"]
may = ["admin"]
"""

SETTINGS = f"""
redis = {{ url = "redis://127.0.0.1:6379/0" }}
[issuers.acme]
domain = "acme.example.com"
[clients.billing]
issuer = "acme"
client_id = "id"
client_secret_files = ["secret"]
audiences = ["{API}"]
"""


def ask(*argv: str) -> int:
    """The exit code of `mintonced explain ARGV`."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_explain(parser)
    return run_explain(parser.parse_args(argv))


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """The name of a policy file."""
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    path.chmod(0o600)
    return str(path)


def test_an_allowed_question_names_the_rule(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And ends with 0."""
    assert ask("key:pay", "billing", API, "--scope", "read", "--policy", policy) == 0
    assert capsys.readouterr().out == "get: allowed by rule pay\n"


def test_a_denied_question_says_what_each_rule_for_the_caller_lacks(
    policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And ends with 1."""
    assert ask("key:pay", "x", "other", "--scope", "write", "--scope", "all", "--policy", policy) == 1
    assert capsys.readouterr().out.splitlines() == [
        "get: denied",
        "  rule pay matches this caller, but not for this client, not for this audience, not for the scopes all write",
        "  rule admin matches this caller, but does not allow get, not for the scopes all write",
    ]


def test_what_the_issuer_grants_can_be_asked_about(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before it happens, or after the audit log has told of it."""
    assert ask("key:pay", "billing", API, "--granted", "read", "--policy", policy) == 0
    assert ask("key:pay", "billing", API, "--granted", "read", "--granted", "all", "--policy", policy) == 1
    assert capsys.readouterr().out.splitlines() == [
        "get: allowed by rule pay",
        "get: denied",
        "  rule pay matches this caller, but not for the granted scope all",
        "  rule admin matches this caller, but does not allow get, not for the granted scopes all read",
    ]


def test_a_question_without_a_scope_is_explained(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what to write when it is meant."""
    Path(policy).write_text(POLICY.replace('"", "read"', '"read"'))
    assert ask("key:pay", "billing", API, "--policy", policy) == 1
    assert '  rule pay matches this caller, but not without a scope (add "" to' in capsys.readouterr().out


def test_several_acts_are_all_allowed_or_not(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is denied is enough for 1."""
    assert ask("key:pay", "billing", API, "--act", "get", "--act", "admin", "--policy", policy) == 0
    assert ask("key:pay", "billing", API, "--act", "get", "--act", "reject", "--policy", policy) == 1
    assert capsys.readouterr().out.count("allowed") == 3


@pytest.mark.parametrize(("caller", "hint"), [("pay", True), ("key_pay", True), ("spiffe://pay/x", False)])
def test_a_caller_of_no_kind_learns_the_forms_of_callers(
    policy: str, capsys: pytest.CaptureFixture[str], caller: str, hint: bool
) -> None:
    """Most likely the user typed a bare name."""
    assert ask(caller, "billing", API, "--policy", policy) == 1
    assert ("jwt:ISSUER:SUBJECT" in capsys.readouterr().out) is hint


def test_a_question_that_no_call_could_ask_is_refused(policy: str) -> None:
    """As the server would refuse it."""
    with pytest.raises(InvalidRequest):
        ask("key:pay", "no such client", API, "--policy", policy)


@pytest.mark.parametrize(
    ("audience", "one", "several"),
    [
        (f"{API} {API}v2", False, True),
        (f"{API} other", False, False),
    ],
)
def test_an_audience_with_spaces_is_judged_as_one_name_and_as_several(
    policy: str, capsys: pytest.CaptureFixture[str], audience: str, one: bool, several: bool
) -> None:
    """Only the settings know which of the two it is. The exit code is 0 only if both are allowed."""
    Path(policy).write_text(POLICY.replace(f"{API}**", f'{API}", "{API}v2'))
    assert ask("key:pay", "billing", audience, "--policy", policy) == 1
    verdicts = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("  rule")]
    said = {True: "get: allowed by rule pay", False: "get: denied"}
    assert verdicts == [ONE_NAME, said[one], SEVERAL_NAMES, said[several]]


def test_an_audience_with_spaces_that_is_allowed_both_ways_is_allowed(policy: str) -> None:
    """As with a rule for every audience."""
    Path(policy).write_text(POLICY.replace(f"{API}**", "*"))
    assert ask("key:pay", "billing", f"{API}v1 {API}v2", "--policy", policy) == 0


def test_a_faulty_policy_is_reported_with_its_faults(policy: str) -> None:
    """As at the start of a server."""
    Path(policy).write_text("[[rules]]")
    with pytest.raises(SettingsError, match="4 faults"):
        ask("key:pay", "billing", API, "--policy", policy)


def configured(tmp_path: Path, settings: str) -> str:
    """A config file with the settings, and the secret beside it."""
    secret, config = tmp_path / "secret", tmp_path / "mintonce.toml"
    secret.touch(0o600)
    secret.write_text("secret")
    config.touch(0o600)
    config.write_text(settings)
    return str(config)


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    ("client", "audience", "unknown"),
    [
        ("billing", API, []),
        ("billing", f"{API}v2", ["also: client billing may not get tokens for this audience"]),
        ("gone", API, ["also: no client is registered as gone"]),
    ],
)
def test_with_the_settings_it_tells_what_else_is_in_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], client: str, audience: str, unknown: Sequence[str]
) -> None:
    """A rule alone makes no client."""
    config = configured(tmp_path, f'policy_file = "policy.toml"\n{SETTINGS}')
    assert ask("key:pay", client, audience, "--config", config) == len(unknown)
    first, *more = capsys.readouterr().out.splitlines()
    assert first == "get: allowed by rule pay"
    assert [line.partition(";")[0] for line in more] == unknown


def test_settings_without_a_policy_have_nothing_to_explain(tmp_path: Path) -> None:
    """To say that all is allowed could be taken for an answer about a policy."""
    with pytest.raises(NoPolicy, match="no policy_file"):
        ask("key:pay", "billing", API, "--config", configured(tmp_path, SETTINGS))


def test_nothing_that_a_terminal_obeys_is_printed() -> None:
    """The arguments may come from a log."""
    report = [*explain(OPEN, "key:\x1b[2J", "x\x1b", "y\x07", ["z\x1b"], list(Act))]
    assert all(line.isprintable() for line in report)


def examples() -> list[tuple[str, str, str]]:
    """From the guide: the arguments, the command as it is shown, and what it prints."""
    found = re.findall(r"^<!-- explain: (.*) -->\n```\n\$ (.*)\n((?:.*\n)*?)```$", GUIDE.read_text(), re.MULTILINE)
    assert len(found) >= 3
    return found


@pytest.mark.parametrize(("argv", "command", "shown"), examples())
def test_the_guide_shows_what_the_program_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: str, command: str, shown: str
) -> None:
    """With the policy that stands there."""
    (text,) = re.findall(r"^```toml\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    path = tmp_path / "policy.toml"
    path.write_text(text)
    path.chmod(0o600)
    assert command == f"mintonced explain --policy policy.toml {argv}"
    ask("--policy", str(path), *shlex.split(argv))
    assert capsys.readouterr().out == shown
