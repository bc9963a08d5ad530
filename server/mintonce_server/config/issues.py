"""Validation issues: everything that is wrong with the settings, collected with its origin, reported in one go.

No issue repeats a value: it may be a secret in the wrong place.
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from mintonce_server.common.files import FileError
from mintonce_server.config.old_names import REMOVED, RENAMED
from mintonce_server.core.errors import MintonceError
from mintonce_server.core.text import visible

SettingPath: TypeAlias = tuple[str, ...]
"""The path of a setting: ("clients", "billing", "issuer")."""

PREFIX: Final = "MINTONCE_"
DELIMITER: Final = "__"

SHORT_VARIABLES: Final[dict[str, SettingPath]] = {
    "OAUTH_DOMAIN": ("issuers", "default", "domain"),
    "CLIENT_ID": ("clients", "default", "client_id"),
    "CLIENT_SECRET": ("clients", "default", "client_secret"),
    "CLIENT_SECRET_FILES": ("clients", "default", "client_secret_files"),
    "AUDIENCES": ("clients", "default", "audiences"),
    "REDIS_URL": ("redis", "url"),
    "REDIS_URL_FILE": ("redis", "url_file"),
    "LOG_LEVEL": ("log", "level"),
    "LOG_FORMAT": ("log", "format"),
}
"""Short names of variables. A minimal configuration needs no others."""

_VARIABLES: Final = {path: name for name, path in SHORT_VARIABLES.items()}

NAMED_SECTIONS: Final = ("issuers", "clients", "jwt_issuers")
"""Sections whose tables have names that the operator chooses."""

BUDGET: Final = "budget"
"""The table within the table of a client."""

PLAIN_SECTIONS: Final = ("http", "limits", "log", "redis", "tls", "token_endpoint", "tracing")
"""Sections that are one table."""

ALTERNATIVES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "redis": (("url", "url_file"),),
    "issuers": (("domain", "token_url", "issuer"), ("proxy", "proxy_file")),
    "clients": (("client_secret", "client_secret_files"),),
    "jwt_issuers": (("jwks_file", "jwks_url"),),
}
"""Groups of settings with the same meaning: only one of a group may be set."""

FILES: Final = {"redis": ("url", "url_file"), "clients": ("client_secret", "client_secret_files")}
"""Secrets that may stand in a file: the setting for the secret itself, and that for the file."""


@dataclass(frozen=True, slots=True)
class ValidationIssue:
    """One thing to fix.

    Attributes:
        where: the file and the path in it, or the environment variable.
        what: what is wrong.
        remedy: a sentence for an operator.
    """

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return visible(f"{self.where}: {self.what}. {self.remedy}")


class SettingsError(MintonceError):
    """The settings cannot be used. `issues` holds all that was found, not only the first."""

    def __init__(self, issues: Sequence[ValidationIssue]) -> None:
        self.issues = tuple(issues)
        count = "1 fault" if len(self.issues) == 1 else f"{len(self.issues)} faults"
        lines = "".join(f"\n  {issue}" for issue in self.issues)
        super().__init__(f"{count} in the settings:{lines}", remedy="Fix them; `mintonced check` lists what is left.")


@dataclass(slots=True)
class Issues:
    """What is known about the settings apart from their values.

    Attributes:
        origins: for each path, where its value stood.
        invalid: paths that already have an issue: no further one is added.
        config: the name of the config file, or "".
        complete: False if the config file could not be read.
    """

    origins: dict[SettingPath, str] = field(default_factory=dict[SettingPath, str])
    invalid: set[SettingPath] = field(default_factory=set[SettingPath])
    found: list[ValidationIssue] = field(default_factory=list[ValidationIssue])
    config: str = ""
    complete: bool = True

    def where(self, path: SettingPath) -> str:
        """Where the value stood; if it is missing, where it would stand."""
        if path in self.origins:
            return self.origins[path]
        if self.config and (len(path) == 1 or path[:-1] in self.origins):
            return f"{self.config}: {dotted(path)}"
        return f"variable {variable(path)}"

    def add(self, path: SettingPath, what: str, remedy: str) -> None:
        """Add an issue, unless the path already has one."""
        if path not in self.invalid:
            self.found.append(ValidationIssue(self.where(path), what, remedy))
            self.invalid.add(path)

    def add_variable(self, name: str, what: str, remedy: str) -> None:
        """Add an issue about an environment variable itself."""
        self.found.append(ValidationIssue(f"variable {name}", what, remedy))

    def add_old_name(self, path: SettingPath, name: str = "") -> bool:
        """Add an issue if this was a setting of an earlier version. `name`: the variable, if one was used."""
        where = f"variable {name}" if name else self.where(path)
        if path in self.invalid or (issue := old_name_issue(path, where)) is None:
            return False
        self.found.append(issue)
        new = renamed(path)
        # What the old setting said is not missing: no second issue.
        self.invalid |= {path, new} if new else {path}
        return True

    def has_any_in(self, *path: str) -> bool:
        """Whether something in this table is known to be invalid."""
        return any(invalid[: len(path)] == path for invalid in self.invalid)


def renamed(path: SettingPath) -> SettingPath | None:
    """The present path of a renamed setting."""
    section, setting = path[:-1], path[-1]
    new = RENAMED.get(".".join((*section[:1], setting)))
    # A dot: another section. Otherwise the new name stands in the same table.
    return None if new is None else tuple(new.split(".")) if "." in new else (*section, new)


def old_name_issue(path: SettingPath, where: str) -> ValidationIssue | None:
    """The issue of a setting that was renamed or removed; None for others. `where` starts with "variable" for one."""
    if (new := renamed(path)) is not None:
        name = variable(new) if where.startswith("variable ") else dotted(new)
        return ValidationIssue(where, f"renamed to {name}", "Use the new name; CHANGELOG.md lists all of them.")
    if (reason := REMOVED.get(".".join((*path[:-1][:1], path[-1])))) is not None:
        return ValidationIssue(where, f"removed: {reason}", "Delete it; CHANGELOG.md lists all changes.")
    return None


def file_issue(where: str, error: FileError) -> ValidationIssue:
    """The issue of a file that a setting names."""
    return ValidationIssue(where, f"the file {error}", error.remedy)


def table(values: dict[str, Any], *path: str) -> dict[str, Any] | None:
    """The table at a path, or None if there is none (or something else)."""
    here: object = values
    for part in path:
        here = cast("dict[str, object]", here).get(part) if isinstance(here, dict) else None
    return cast("dict[str, Any]", here) if isinstance(here, dict) else None


def tables(values: dict[str, Any]) -> Iterator[tuple[SettingPath, dict[str, Any]]]:
    """Every plain section and every table of a named section, such as [clients.NAME], with its path."""
    paths = [
        *((section,) for section in PLAIN_SECTIONS),
        *((section, name) for section in NAMED_SECTIONS for name in table(values, section) or ()),
    ]
    for path in paths:
        if (found := table(values, *path)) is not None:
            yield path, found


def variable(path: SettingPath) -> str:
    """The environment variable of a setting."""
    return PREFIX + _VARIABLES.get(path, DELIMITER.join(path).upper().replace("-", "_").replace(".", "_"))


def dotted(path: Iterable[str]) -> str:
    """The path as TOML writes it: clients."my client".issuer."""
    return ".".join(part if _is_bare(part) else f'"{part}"' for part in path)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A remedy for an unknown name."""
    known = sorted(known)
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else f"Known names: {', '.join(known)}."


def _is_bare(part: str) -> bool:
    return part.isascii() and part.replace("-", "").replace("_", "").isalnum()
