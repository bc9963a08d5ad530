"""The policy file: TOML with one [[rules]] table a rule. Nothing here reads an identity or decides; see core.policy."""

import re
import tomllib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final, cast

from mintonce_server.config.faults import Fault, SettingsError, did_you_mean, dotted
from mintonce_server.config.files import FileFault, read_regular, refuse_if_writable
from mintonce_server.core.patterns import Pattern, pattern_fault
from mintonce_server.core.policy import OPEN_RULE, USUAL_ACTS, Act, Policy, Rule

MAX_BYTES: Final = 1 << 20
MAX_RULES: Final = 1000
MAX_PATTERNS: Final = 100
"""In one list of one rule."""

MAX_FAULTS: Final = 100
"""Told at once: a file of another kind should not fill the log."""

_LISTS: Final = ("callers", "clients", "audiences", "scopes")
_NEEDED: Final = ("callers", "clients", "audiences")
_KEYS: Final = ("name", *_LISTS, "may")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_SHOWN: Final = 64
_POSITION: Final = re.compile(r"\(at [^()]*\)\Z")
_SHAPE: Final = "Write one table [[rules]] for each rule, as docs/security/policy.md shows."

_Note = Callable[[str, str, str], None]
"""Takes where in the rule, what is wrong and how to mend it."""


def read_policy(path: Path, clients: Collection[str] | None = None) -> Policy:
    """The policy of a file that nobody else may write. Raises SettingsError with every fault."""
    try:
        data = read_regular(path)
        refuse_if_writable(path)
    except FileFault as error:
        fault = error.at(str(path))
    else:
        return parse_policy(data, str(path), clients)
    raise SettingsError([fault])


def parse_policy(data: bytes, where: str, clients: Collection[str] | None = None) -> Policy:
    """The policy that the bytes of a file describe. Raises SettingsError with every fault.

    `where` is the name of the file. With `clients`, the names of those that are registered, the policy's `remarks`
    tell of patterns that match none of them: that is no fault, since a rule may be there before its client.
    """
    faults: list[Fault] = []
    rules = list(_rules(_tables(data, where), where, faults))
    if not rules and not faults:
        faults.append(Fault(where, "there is no rule, so nobody could have anything", _SHAPE))
    if faults:
        raise SettingsError(faults[:MAX_FAULTS])
    return Policy(rules, () if clients is None else tuple(_remarks(rules, clients)))


def _tables(data: bytes, where: str) -> dict[str, Any]:
    what, remedy = "this is not TOML", "Mend the file; https://toml.io says how TOML is written."
    try:
        if len(data) <= MAX_BYTES:
            return tomllib.loads(data.decode())
        what, remedy = f"the file is longer than {MAX_BYTES} bytes", "Join rules with patterns."
    except tomllib.TOMLDecodeError as error:
        # Only the position: the message quotes the file, which may be a wrong one.
        position = _POSITION.search(str(error))
        what += f" {position[0]}" if position else ""
    except UnicodeDecodeError:
        what = "this is not UTF-8 text"
    except RecursionError:
        what = "this is nested too deeply"
    except ValueError:
        what = "there is a number in it that is too long"
    raise SettingsError([Fault(where, what, remedy)])


def _rules(tables: dict[str, Any], where: str, faults: list[Fault]) -> Iterator[Rule]:
    """The rules that can be used. What is wrong with the others goes to `faults`."""
    faults += (
        Fault(f"{where}: {_shown(key)}", "is no key of a policy", did_you_mean(key, ["rules"]))
        for key in tables
        if key != "rules"
    )
    given = tables.get("rules", [])
    if not isinstance(given, list) or not all(isinstance(table, dict) for table in cast("list[object]", given)):
        faults.append(Fault(f"{where}: rules", "is no list of tables", _SHAPE))
        return
    found = cast("list[dict[str, Any]]", given)
    if len(found) > MAX_RULES:
        faults.append(Fault(f"{where}: rules", f"there are more than {MAX_RULES}", "Join rules with patterns."))
        return
    names: set[str] = set()
    for number, table in enumerate(found, 1):
        wrong: list[Fault] = []
        _check(table, names, _noting(f"{where}: rule {number}", wrong))
        faults += wrong
        if not wrong:
            yield _rule(table)


def _noting(place: str, faults: list[Fault]) -> _Note:
    return lambda key, what, remedy: faults.append(Fault(f"{place}: {key}", what, remedy))


def _check(table: dict[str, Any], names: set[str], note: _Note) -> None:
    for key in table:
        if key not in _KEYS:
            note(_shown(key), "is no key of a rule", did_you_mean(key, _KEYS))
    _check_name(table.get("name"), names, note)
    for key in _NEEDED:
        if key not in table:
            note(key, "is missing", f'Say which {key}; ["*"] is for all.')
    for key in _LISTS:
        if (texts := _texts(table, key, note)) is not None:
            _check_patterns(key, texts, note)
    for index, act in enumerate(_texts(table, "may", note) or (), 1):
        if act not in tuple(Act):
            note(f"may, entry {index}", "is nothing that a caller can do", did_you_mean(act, Act))


def _check_name(name: object, names: set[str], note: _Note) -> None:
    if name is None:
        note("name", "is missing", "Give the rule a name: the audit log says which rule allowed a call.")
    elif not isinstance(name, str) or not _NAME.fullmatch(name):
        note("name", "is malformed", "Use 1 to 64 characters of A-Z a-z 0-9 . _ -")
    elif name == OPEN_RULE:
        note("name", "is that of a server without a policy", "Choose another one.")
    elif name in names:
        note("name", "is that of an earlier rule, too", "Choose another one.")
    else:
        names.add(name)


def _texts(table: dict[str, Any], key: str, note: _Note) -> list[str] | None:
    """The list under the key; None when there is none, or one that is noted as faulty."""
    if key not in table:
        return None
    given = table[key]
    if not isinstance(given, list) or not all(isinstance(text, str) for text in cast("list[object]", given)):
        note(key, "is no list of texts", f'Write it as a list: {key} = ["…"]')
    elif not given:
        note(key, "is an empty list", "Leave it out." if key in ("scopes", "may") else "Fill it.")
    elif len(cast("list[str]", given)) > MAX_PATTERNS:
        note(key, f"has more than {MAX_PATTERNS} entries", "Join them with wildcards, or make two rules.")
    else:
        return cast("list[str]", given)
    return None


def _check_patterns(key: str, texts: list[str], note: _Note) -> None:
    for index, text in enumerate(texts, 1):
        if fault := pattern_fault(text):
            note(f"{key}, entry {index}", fault, "docs/security/policy.md says what a pattern is.")
        elif not text and key not in ("audiences", "scopes"):
            note(f"{key}, entry {index}", "is empty", "Only an audience or a scope can be: for a call that names none.")


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
                yield f"rule {rule.name}: no client that is registered here matches the pattern '{text}'"
