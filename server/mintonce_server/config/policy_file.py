"""The policy file: TOML with one table [[rules]] per rule. core.policy evaluates the rules."""

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final, cast

from mintonce_server.common.files import MAX_FILE_BYTES, FileError, read_file, require_not_writable
from mintonce_server.common.strict_toml import NotToml, parse_toml
from mintonce_server.config.issues import SettingsError, ValidationIssue, did_you_mean, dotted, file_issue
from mintonce_server.core.patterns import Pattern, pattern_fault
from mintonce_server.core.policy import OPEN_RULE, USUAL_ACTS, Act, Policy, Rule

MAX_RULES: Final = 1000
MAX_PATTERNS: Final = 100
"""In one list of one rule."""

MAX_ISSUES: Final = 100
"""Reported at once: a file of another kind must not fill the log."""

_LISTS: Final = ("callers", "clients", "audiences", "scopes")
_NEEDED: Final = ("callers", "clients", "audiences")
_KEYS: Final = ("name", *_LISTS, "may")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_SHOWN: Final = 64
_SHAPE: Final = "Write one table [[rules]] for each rule, as docs/security/policy.md shows."

_Note = Callable[[str, str, str], None]
"""Takes the place in the rule, what is wrong, and the remedy."""


def read_policy(
    path: Path, clients: Collection[str] | None = None, with_several: Collection[str] = frozenset()
) -> Policy:
    """The policy of a file that only its owner can write. Raises SettingsError with every issue."""
    try:
        data = read_file(path)
        require_not_writable(path)
    except FileError as error:
        issue = file_issue(str(path), error)
    else:
        return parse_policy(data, str(path), clients, with_several)
    raise SettingsError([issue])


def parse_policy(
    data: bytes, where: str, clients: Collection[str] | None = None, with_several: Collection[str] = frozenset()
) -> Policy:
    """The policy that the bytes of a file describe. Raises SettingsError with every issue.

    `where` is the name of the file. `clients` are the registered names: the policy's `remarks` then list patterns that
    match none of them. That is not an issue, because a rule may be written before its client is registered.
    `with_several`: see Policy.
    """
    issues: list[ValidationIssue] = []
    rules = list(_rules(_tables(data, where), where, issues))
    if not rules and not issues:
        issues.append(ValidationIssue(where, "there is no rule, so every call would be denied", _SHAPE))
    if issues:
        raise SettingsError(issues[:MAX_ISSUES])
    return Policy(rules, () if clients is None else tuple(_remarks(rules, clients)), with_several)


def _tables(data: bytes, where: str) -> dict[str, Any]:
    what, remedy = f"the file is larger than {MAX_FILE_BYTES} bytes", "Combine rules with patterns."
    if len(data) <= MAX_FILE_BYTES:
        try:
            return parse_toml(data)
        except NotToml as error:
            what, remedy = f"this {error}", "Fix the syntax; see https://toml.io."
    raise SettingsError([ValidationIssue(where, what, remedy)])


def _rules(tables: dict[str, Any], where: str, issues: list[ValidationIssue]) -> Iterator[Rule]:
    """The valid rules. Issues of the others are added to `issues`."""
    issues += (
        ValidationIssue(f"{where}: {_shown(key)}", "is not a key of a policy", did_you_mean(key, ["rules"]))
        for key in tables
        if key != "rules"
    )
    given = tables.get("rules", [])
    if not isinstance(given, list) or not all(isinstance(table, dict) for table in cast("list[object]", given)):
        issues.append(ValidationIssue(f"{where}: rules", "is not a list of tables", _SHAPE))
        return
    found = cast("list[dict[str, Any]]", given)
    if len(found) > MAX_RULES:
        issues.append(ValidationIssue(f"{where}: rules", f"more than {MAX_RULES}", "Combine rules with patterns."))
        return
    names: set[str] = set()
    for number, table in enumerate(found, 1):
        wrong: list[ValidationIssue] = []
        _check(table, names, _noting(f"{where}: rule {number}", wrong))
        issues += wrong
        if not wrong:
            yield _rule(table)


def _noting(place: str, issues: list[ValidationIssue]) -> _Note:
    return lambda key, what, remedy: issues.append(ValidationIssue(f"{place}: {key}", what, remedy))


def _check(table: dict[str, Any], names: set[str], note: _Note) -> None:
    for key in table:
        if key not in _KEYS:
            note(_shown(key), "is not a key of a rule", did_you_mean(key, _KEYS))
    _check_name(table.get("name"), names, note)
    for key in _NEEDED:
        if key not in table:
            note(key, "is missing", f'List the {key}; ["*"] matches all.')
    for key in _LISTS:
        if (texts := _texts(table, key, note)) is not None:
            _check_patterns(key, texts, note)
    for index, act in enumerate(_texts(table, "may", note) or (), 1):
        if act not in tuple(Act):
            note(f"may, entry {index}", "is not an operation", did_you_mean(act, Act))


def _check_name(name: object, names: set[str], note: _Note) -> None:
    if name is None:
        note("name", "is missing", "Name the rule: the audit log records which rule allowed a call.")
    elif not isinstance(name, str) or not _NAME.fullmatch(name):
        note("name", "is malformed", "Use 1 to 64 characters of A-Z a-z 0-9 . _ -")
    elif name == OPEN_RULE:
        note("name", "is reserved for servers without a policy", "Choose another name.")
    elif name in names:
        note("name", "is also that of an earlier rule", "Choose another name.")
    else:
        names.add(name)


def _texts(table: dict[str, Any], key: str, note: _Note) -> list[str] | None:
    """The list under the key; None if there is none, or if it is invalid, which is then noted."""
    if key not in table:
        return None
    given = table[key]
    if not isinstance(given, list) or not all(isinstance(text, str) for text in cast("list[object]", given)):
        note(key, "is not a list of strings", f'Write it as a list: {key} = ["…"]')
    elif not given:
        note(key, "is an empty list", "Remove it." if key in ("scopes", "may") else "Add an entry.")
    elif len(cast("list[str]", given)) > MAX_PATTERNS:
        note(key, f"has more than {MAX_PATTERNS} entries", "Combine them with wildcards, or write two rules.")
    else:
        return cast("list[str]", given)
    return None


def _check_patterns(key: str, texts: list[str], note: _Note) -> None:
    for index, text in enumerate(texts, 1):
        if error := pattern_fault(text, of_audiences=key == "audiences"):
            note(f"{key}, entry {index}", error, "See docs/security/policy.md for patterns.")
        elif not text and key not in ("audiences", "scopes"):
            note(
                f"{key}, entry {index}",
                "is empty",
                "Only an audience or a scope may be empty; it matches calls without one.",
            )


def _shown(key: str) -> str:
    return dotted([key if len(key) <= _LONGEST_SHOWN else f"{key[:_LONGEST_SHOWN]}…"])


def _rule(table: dict[str, Any]) -> Rule:
    return Rule(
        name=table["name"],
        callers=tuple(table["callers"]),
        clients=tuple(table["clients"]),
        audiences=tuple(table["audiences"]),
        scopes=tuple(table.get("scopes", ())),
        may=frozenset(map(Act, table["may"])) if "may" in table else USUAL_ACTS,
    )


def _remarks(rules: list[Rule], clients: Collection[str]) -> Iterator[str]:
    for rule in rules:
        for text in rule.clients:
            if not any(map(Pattern(text).matches, clients)):
                yield f"rule {rule.name}: no registered client matches the pattern '{text}'"
