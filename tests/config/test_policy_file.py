"""The policy file: every fault is reported at once, and a file with one is no policy."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.common.files import MAX_FILE_BYTES
from mintonce_server.config import SettingsError, ValidationIssue
from mintonce_server.config.policy_file import (
    MAX_ISSUES,
    MAX_PATTERNS,
    MAX_RULES,
    parse_policy,
    read_policy,
)
from mintonce_server.core.policy import Act, Rule

GUIDE = Path(__file__).parents[2] / "docs/security/policy.md"

RULE = """
[[rules]]
name = "pay"
callers = ["key:pay"]
clients = ["billing"]
audiences = ["https://api.example.com/"]
"""


def issues_of(data: str | bytes) -> list[str]:
    """Where and what of each fault."""
    with pytest.raises(SettingsError) as caught:
        parse_policy(data.encode() if isinstance(data, str) else data, "p.toml")
    return [f"{fault.where}: {fault.what}" for fault in caught.value.issues]


def test_a_file_becomes_rules_in_their_order() -> None:
    """With what is left out: no scopes, get and watch."""
    more = '[[rules]]\nname="b"\ncallers=["*"]\nclients=["*"]\naudiences=[""]\nscopes=["a:**"]\nmay=["admin","reject"]'
    assert parse_policy(f"{RULE}{more}".encode(), "p.toml").rules == (
        Rule("pay", ("key:pay",), ("billing",), ("https://api.example.com/",), (), frozenset({Act.GET, Act.WATCH})),
        Rule("b", ("*",), ("*",), ("",), ("a:**",), frozenset({Act.ADMIN, Act.REJECT})),
    )


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("", "p.toml: there is no rule, so every call would be denied"),
        ("rules = []", "p.toml: there is no rule, so every call would be denied"),
        ("rules = 1", "p.toml: rules: is not a list of tables"),
        ("rules = [1]", "p.toml: rules: is not a list of tables"),
        ("[rules]", "p.toml: rules: is not a list of tables"),
        ("[[rules]", "p.toml: this is not TOML (at line 1, column 8)"),
        (b"\xff", "p.toml: this is not UTF-8 text"),
        ("a=" + "[" * 5000, "p.toml: this is nested too deeply"),
        ("a=" + "9" * 5000, "p.toml: this contains a number that is too long"),
        (b"#" * (MAX_FILE_BYTES + 1), f"p.toml: the file is larger than {MAX_FILE_BYTES} bytes"),
        ("[[rules]]\n" * (MAX_RULES + 1), f"p.toml: rules: more than {MAX_RULES}"),
        (f"rule = 1\n{RULE}", "p.toml: rule: is not a key of a policy"),
        (RULE.replace('"pay"', '"a b"', 1), "p.toml: rule 1: name: is malformed"),
        (RULE.replace('"pay"', "1", 1), "p.toml: rule 1: name: is malformed"),
        (RULE.replace('"pay"', '"open"', 1), "p.toml: rule 1: name: is reserved for servers without a policy"),
        (RULE.replace('name = "pay"', ""), "p.toml: rule 1: name: is missing"),
        (RULE + RULE, "p.toml: rule 2: name: is also that of an earlier rule"),
        (RULE.replace("callers", "caller"), "p.toml: rule 1: caller: is not a key of a rule"),
        (RULE.replace('callers = ["key:pay"]', ""), "p.toml: rule 1: callers: is missing"),
        (RULE.replace('["key:pay"]', '"key:pay"'), "p.toml: rule 1: callers: is not a list of strings"),
        (RULE.replace('"key:pay"', '"key:pay", 1'), "p.toml: rule 1: callers: is not a list of strings"),
        (RULE.replace('"key:pay"', ""), "p.toml: rule 1: callers: is an empty list"),
        (f"{RULE}scopes = []", "p.toml: rule 1: scopes: is an empty list"),
        (f"{RULE}may = []", "p.toml: rule 1: may: is an empty list"),
        (f'{RULE}may = ["get", "GET"]', "p.toml: rule 1: may, entry 2: is not an operation"),
        (RULE.replace('["billing"]', '["a", ""]'), "p.toml: rule 1: clients, entry 2: is empty"),
        (RULE.replace("key:pay", ""), "p.toml: rule 1: callers, entry 1: is empty"),
        (RULE.replace("key:pay", "key:***"), "p.toml: rule 1: callers, entry 1: has three or more * in a row"),
        (
            f"{RULE}scopes = {['a'] * (MAX_PATTERNS + 1)}",
            f"p.toml: rule 1: scopes: has more than {MAX_PATTERNS} entries",
        ),
    ],
)
def test_a_fault_is_reported_with_its_place(given: str | bytes, fault: str) -> None:
    """Rules are counted from 1, and so are the entries of a list."""
    assert fault in issues_of(given)


def test_all_faults_are_told_at_once() -> None:
    """Of all rules."""
    found = issues_of("x = 1\n[[rules]]\n[[rules]]\nname = 1\ncallers = []\nclients = ['ä']\naudiences = ['a  b']")
    assert [re.sub(": (is|has) .*", "", fault) for fault in found] == [
        "p.toml: x",
        "p.toml: rule 1: name",
        "p.toml: rule 1: callers",
        "p.toml: rule 1: clients",
        "p.toml: rule 1: audiences",
        "p.toml: rule 2: name",
        "p.toml: rule 2: callers",
        "p.toml: rule 2: clients, entry 1",
        "p.toml: rule 2: audiences, entry 1",
    ]


def test_a_misspelt_key_has_a_proposal() -> None:
    """And a misspelt act."""
    with pytest.raises(SettingsError) as caught:
        parse_policy(f'{RULE}scope = ["a"]\nmay = ["wacth"]'.encode(), "p.toml")
    assert [fault.remedy for fault in caught.value.issues] == ["Did you mean scopes?", "Did you mean watch?"]


def test_one_fault_is_enough_for_no_policy_at_all() -> None:
    """Half of a policy could lack a rule that is needed, or allow what was just removed."""
    assert len(issues_of(f"{RULE}\n[[rules]]\nname = 'x'")) == 3


def test_a_file_of_another_kind_does_not_fill_the_log() -> None:
    """Nor does the name of a key without end."""
    found = issues_of("".join(f"k{number} = 1\n" for number in range(500)))
    assert len(found) == MAX_ISSUES
    assert max(map(len, issues_of("k" * 10_000 + " = 1"))) < 200


def test_no_fault_repeats_a_value() -> None:
    """It may be a secret in the wrong place; and it stays in no exception that is at hand either."""
    canary = "s3cr3t canary"
    for text in (
        RULE.replace("key:pay", canary),
        RULE.replace('"pay"', f'"{canary}"'),
        f'{RULE}may = ["{canary}"]',
        f'x = "{canary}" {canary}',
    ):
        with pytest.raises(SettingsError) as caught:
            parse_policy(text.encode(), "p.toml")
        assert canary not in str(caught.value)
        assert caught.value.__context__ is None


def test_patterns_that_match_no_registered_client_are_remarked() -> None:
    """That is no fault: a rule may be there before its client."""
    more = RULE.replace("pay", "more").replace('"billing"', '"led*", "bil*"')
    policy = parse_policy(f"{RULE}{more}".encode(), "p.toml", {"ledger"})
    assert policy.remarks == (
        "rule pay: no registered client matches the pattern 'billing'",
        "rule more: no registered client matches the pattern 'bil*'",
    )
    assert parse_policy(RULE.encode(), "p.toml").remarks == ()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    """Who writes the policy has every token."""
    path = tmp_path / "policy.toml"
    path.write_text(RULE)
    path.chmod(mode)
    with pytest.raises(SettingsError, match="can be written by others"):
        read_policy(path)


def test_a_file_that_others_may_read_is_fine(tmp_path: Path) -> None:
    """It holds no secret."""
    path = tmp_path / "policy.toml"
    path.write_text(RULE)
    path.chmod(0o644)
    assert [rule.name for rule in read_policy(path).rules] == ["pay"]


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    """As for any other setting."""
    with pytest.raises(SettingsError, match="cannot be read"):
        read_policy(tmp_path / "none.toml")


def test_the_policy_of_the_guide_can_be_used() -> None:
    """Copied from there, it has no fault."""
    (text,) = re.findall(r"^```toml\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert [rule.name for rule in parse_policy(text.encode(), "p.toml").rules] == [
        rule["name"] for rule in tomllib.loads(text)["rules"]
    ]


pieces = st.sampled_from(
    """
[[rules]]
[rules]
name="a"
name=1
callers=["*"]
clients=["a"]
audiences=[""]
scopes=["***"]
scopes=[[]]
may=["get"]
may=[{}]
may=1979-05-27
"\\u0007"=1
x
""".splitlines(keepends=True)
)


@given(st.one_of(st.binary(max_size=200), st.lists(pieces, max_size=12).map(lambda parts: "".join(parts).encode())))
def test_whatever_a_file_holds_it_is_a_policy_or_a_list_of_faults(data: bytes) -> None:
    """Never another exception; and the faults can be shown on a terminal."""
    faults: tuple[ValidationIssue, ...] = ()
    try:
        parse_policy(data, "p.toml")
    except SettingsError as error:
        faults = error.issues
    assert all(str(fault).isprintable() for fault in faults)
