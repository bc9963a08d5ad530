"""What is known about the settings beside their values: where each stood, and what is wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

from mintonce_server.config.faults import Fault, SettingPath, dotted

PREFIX: Final = "MINTONCE_"
DELIMITER: Final = "__"

SHORTCUTS: Final[dict[str, SettingPath]] = {
    "OAUTH_DOMAIN": ("issuers", "default", "domain"),
    "CLIENT_ID": ("clients", "default", "client_id"),
    "CLIENT_SECRET": ("clients", "default", "client_secret"),
    "CLIENT_SECRET_FILE": ("clients", "default", "client_secret_file"),
    "AUDIENCES": ("clients", "default", "audiences"),
    "REDIS_URL": ("redis", "url"),
    "REDIS_URL_FILE": ("redis", "url_file"),
}
"""The smallest set-up needs only these."""

_VARIABLES: Final = {path: name for name, path in SHORTCUTS.items()}

NAMED: Final = ("issuers", "clients", "jwt_issuers")
"""Sections of tables with names of their own."""

PLAIN: Final = ("redis", "tls")
"""Sections that are one table."""

TWO_WAYS: Final = {
    "redis": ("url", "url_file"),
    "issuers": ("domain", "token_url"),
    "clients": ("client_secret", "client_secret_file"),
    "jwt_issuers": ("jwks_file", "jwks_url"),
}
"""For some sections two settings that say the same thing: where one is given, the other must not be."""


@dataclass(slots=True)
class Findings:
    """What was found so far.

    Attributes:
        origins: for each path, where it stood.
        spoiled: paths with a fault already: nothing more is said about them.
        config: the name of the config file, or "".
        complete: False when the config file could not be read.
    """

    origins: dict[SettingPath, str] = field(default_factory=dict[SettingPath, str])
    spoiled: set[SettingPath] = field(default_factory=set[SettingPath])
    faults: list[Fault] = field(default_factory=list[Fault])
    config: str = ""
    complete: bool = True

    def where(self, path: SettingPath) -> str:
        """Where the value stood; for one that is missing, where it would stand."""
        if path in self.origins:
            return self.origins[path]
        if self.config and (len(path) == 1 or path[:-1] in self.origins):
            return f"{self.config}: {dotted(path)}"
        return f"variable {variable(path)}"

    def spoil(self, path: SettingPath, what: str, remedy: str) -> None:
        """Note a fault, unless one is noted: nothing more need be said about this path."""
        if path not in self.spoiled:
            self.faults.append(Fault(self.where(path), what, remedy))
            self.spoiled.add(path)


def table(values: dict[str, Any], *path: str) -> dict[str, Any] | None:
    """The table at a path, or None when there is none (or something else)."""
    here: object = values
    for part in path:
        here = cast("dict[str, object]", here).get(part) if isinstance(here, dict) else None
    return cast("dict[str, Any]", here) if isinstance(here, dict) else None


def tables(values: dict[str, Any]) -> Iterator[tuple[SettingPath, dict[str, Any]]]:
    """[redis], [tls] and every [issuers.NAME], [clients.NAME] and [jwt_issuers.NAME], with its path."""
    paths = [
        *((section,) for section in PLAIN),
        *((section, name) for section in NAMED for name in table(values, section) or ()),
    ]
    for path in paths:
        if (found := table(values, *path)) is not None:
            yield path, found


def variable(path: SettingPath) -> str:
    """The environment variable of a setting."""
    return PREFIX + _VARIABLES.get(path, DELIMITER.join(path).upper().replace("-", "_").replace(".", "_"))
