"""Settings as they were found: nested tables, and for each value where it stood."""

from dataclasses import dataclass, field
from typing import Any, Final, cast

from mintonce_server.settings.faults import Fault, SettingPath, dotted

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

OTHER_WAY: Final = {
    "client_secret": "client_secret_file",
    "client_secret_file": "client_secret",
    "url": "url_file",
    "url_file": "url",
    "token_url": "domain",
    "domain": "token_url",
}
"""Settings that say the same thing in another way: where one is given, the other must not be."""


@dataclass(slots=True)
class Tree:
    """What was found so far.

    Attributes:
        origins: for each path, where it stood.
        spoiled: paths with a fault already: nothing more is said about them.
        config: the name of the config file, or "".
        complete: False when the config file could not be read.
    """

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    origins: dict[SettingPath, str] = field(default_factory=dict[SettingPath, str])
    spoiled: set[SettingPath] = field(default_factory=set[SettingPath])
    faults: list[Fault] = field(default_factory=list[Fault])
    config: str = ""
    complete: bool = True

    def table(self, *path: str) -> dict[str, Any] | None:
        """The table at a path, or None when there is none (or something else)."""
        here: object = self.values
        for part in path:
            here = cast("dict[str, object]", here).get(part) if isinstance(here, dict) else None
        return cast("dict[str, Any]", here) if isinstance(here, dict) else None

    def put(self, path: SettingPath, value: object, where: str) -> None:
        """Set a value, making tables on the way."""
        here = self.values
        for part in path[:-1]:
            if not isinstance(here.get(part), dict):
                here[part] = {}
            here = here[part]
        here[path[-1]] = value
        self.origins[path] = where

    def drop(self, path: SettingPath) -> None:
        """Forget a value, if it is there."""
        if (table := self.table(*path[:-1])) is not None:
            table.pop(path[-1], None)
            self.origins.pop(path, None)

    def where(self, path: SettingPath) -> str:
        """Where the value stood; for one that is missing, where it would stand."""
        if path in self.origins:
            return self.origins[path]
        if self.config and (len(path) == 1 or path[:-1] in self.origins):
            return f"{self.config}: {dotted(path)}"
        return f"variable {variable(path)}"

    def spoil(self, path: SettingPath, what: str, remedy: str) -> None:
        """Note a fault, and that nothing more need be said about this path."""
        self.faults.append(Fault(self.where(path), what, remedy))
        self.spoiled.add(path)


def variable(path: SettingPath) -> str:
    """The environment variable of a setting."""
    return PREFIX + _VARIABLES.get(path, DELIMITER.join(path).upper().replace("-", "_").replace(".", "_"))
