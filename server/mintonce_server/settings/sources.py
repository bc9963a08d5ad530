"""The config file and the environment, read into one tree. The environment wins."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from mintonce_server.settings.faults import Fault, SettingPath, did_you_mean, dotted
from mintonce_server.settings.files import FileFault, read_regular, read_secret, refuse_if_open
from mintonce_server.settings.models import ServerSettings
from mintonce_server.settings.tree import DELIMITER, OTHER_WAY, PREFIX, SHORTCUTS, Tree
from mintonce_server.settings.values import url_of_domain

CONFIG: Final = f"{PREFIX}CONFIG"
_NOT_SETTINGS: Final = frozenset({CONFIG, f"{PREFIX}TARGET"})  # the latter belongs to the client's CLI
_NAMED: Final = ("issuers", "clients")
_TOP: Final = frozenset(ServerSettings.model_fields)

# Kubernetes tells every pod about every Service: one that is called mintonce or mintonce-redis makes such variables.
_KUBERNETES = re.compile(
    r"MINTONCE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)", re.ASCII
)
_POSITION = re.compile(r"\(at [^()]*\)\Z")


def read(config: Path | None, environ: Mapping[str, str]) -> Tree:
    """Everything that is set, with secret files read. Faults are noted in the tree, never raised."""
    tree = Tree()
    if config is None and environ.get(CONFIG):
        config = Path(environ[CONFIG])
    if config is not None:
        _read_toml(tree, config)
    _read_environment(tree, environ)
    _resolve(tree)
    return tree


def _read_toml(tree: Tree, config: Path) -> None:
    tree.config = str(config)
    try:
        values = _parse(read_regular(config))
        if _holds_secret(values):
            refuse_if_open(config)
    except FileFault as error:
        tree.complete = False
        tree.faults.append(error.at(tree.config))
        return
    tree.values = values
    _note_origins(tree, values, ())
    _anchor_files(tree, config.parent)


def _parse(data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode())
    except tomllib.TOMLDecodeError as error:
        # Only the position: the message may quote a character of a secret, newer ones carry the whole document.
        position = _POSITION.search(str(error))
        what = f"this is not TOML {position[0]}" if position else "this is not TOML"
    except UnicodeDecodeError:
        what = "this is not UTF-8 text"
    except RecursionError:
        what = "this is nested too deeply"
    raise FileFault(what, "Mend the file; https://toml.io says how TOML is written.")


def _holds_secret(values: dict[str, Any]) -> bool:
    """Whether a client_secret, or a URL with a password, stands in the file itself."""
    held = Tree(values)
    url = (held.table("redis") or {}).get("url")
    secrets = ((held.table("clients", name) or {}).get("client_secret") for name in held.table("clients") or ())
    return (isinstance(url, str) and "@" in url) or any(secret is not None for secret in secrets)


def _note_origins(tree: Tree, table: dict[str, Any], path: SettingPath) -> None:
    for name, value in table.items():
        here = (*path, name)
        tree.origins[here] = f"{tree.config}: {dotted(here)}"
        if isinstance(value, dict) and len(here) < 3:  # deeper there are only values, such as `extra`
            _note_origins(tree, cast("dict[str, Any]", value), here)


def _anchor_files(tree: Tree, directory: Path) -> None:
    """File names in a config file count from that file; those in variables count from the working directory."""
    for path in list(tree.origins):
        if path[-1].endswith("_file") and (table := tree.table(*path[:-1])) is not None:
            name = table[path[-1]]
            if isinstance(name, str) and name:
                table[path[-1]] = str(directory / name)


def _read_environment(tree: Tree, environ: Mapping[str, str]) -> None:
    seen: dict[SettingPath, str] = {}
    for name in sorted(environ):
        # An empty variable counts as none: that is what `${SECRET:-}` in a compose file leaves behind.
        if not name.startswith(PREFIX) or name in _NOT_SETTINGS or _KUBERNETES.fullmatch(name) or not environ[name]:
            continue
        path = _path_of(tree, name)
        if path is None:
            continue
        if path in seen:
            tree.faults.append(Fault(f"variable {name}", f"says the same as {seen[path]}", "Set only one of them."))
        seen[path] = name
        tree.put(path, environ[name], f"variable {name}")
        other = (*path[:-1], OTHER_WAY.get(path[-1], ""))
        if other not in seen:  # it stood in the config file, which the environment overrides
            tree.drop(other)


def _path_of(tree: Tree, name: str) -> SettingPath | None:
    short = name.removeprefix(PREFIX)
    if short in SHORTCUTS:
        return SHORTCUTS[short]
    parts = [part.lower() for part in short.split(DELIMITER)]
    if parts[0] in _NAMED and len(parts) > 1:
        return (parts[0], _spelled(tree, parts[0], parts[1]), *parts[2:])
    if parts[0] in (*_NAMED, "redis") or (parts[0] in _TOP and len(parts) == 1):
        return tuple(parts)
    known = {*SHORTCUTS, *(top.upper() for top in _TOP), "REDIS__DEADLINE"}
    remedy = did_you_mean(name, (PREFIX + other for other in known))
    tree.faults.append(Fault(f"variable {name}", "is no setting", remedy))
    return None


def _spelled(tree: Tree, section: str, name: str) -> str:
    """The name as the config file spells it: variables have neither small letters nor `.` and `-`."""
    same = (other for other in tree.table(section) or () if _folded(other) == _folded(name))
    return next(same, name)


def _folded(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _resolve(tree: Tree) -> None:
    """Read secret files, and spell out domains."""
    _read_file(tree, ("redis",), "url")
    for name in tree.table("clients") or ():
        _read_file(tree, ("clients", name), "client_secret")
    for name in tree.table("issuers") or ():
        _spell_out(tree, ("issuers", name))


def _read_file(tree: Tree, path: SettingPath, plain: str) -> None:
    table, named = tree.table(*path), f"{plain}_file"
    if table is None or named not in table or _both(tree, path, plain, named):
        return
    try:
        secret = read_secret(Path(str(table[named])))
    except FileFault as error:
        tree.spoil((*path, named), str(error), error.remedy)
        tree.spoiled.add((*path, plain))
    else:
        tree.put((*path, plain), secret, tree.where((*path, named)))


def _spell_out(tree: Tree, path: SettingPath) -> None:
    table = tree.table(*path)
    if table is None or "domain" not in table or _both(tree, path, "domain", "token_url"):
        return
    if isinstance(table["domain"], str):
        tree.put((*path, "token_url"), url_of_domain(table["domain"]), tree.where((*path, "domain")))
    else:
        tree.spoiled.add((*path, "token_url"))  # that the domain is no text is said once
    table.setdefault("request", "json")


def _both(tree: Tree, path: SettingPath, one: str, other: str) -> bool:
    table = tree.table(*path) or {}
    if one in table and other in table:
        tree.spoil((*path, one), f"is given, and {other} too", f"Give either {one} or {other}.")
        return True
    return False
