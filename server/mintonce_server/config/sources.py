"""The environment and the config file, as sources of pydantic-settings, which merges and validates what they say.

Added here is what it does not do: it skips unknown variables and absent config files in silence, it tells the name of a
field but not of the variable or the file, and its errors carry the values, secrets among them.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource

from mintonce_server.config.faults import Fault, SettingPath, did_you_mean, dotted
from mintonce_server.config.files import FileFault, read_regular, refuse_if_open, refuse_if_writable
from mintonce_server.config.findings import (
    DELIMITER,
    NAMED,
    PLAIN,
    PREFIX,
    SHORTCUTS,
    TWO_WAYS,
    Findings,
    table,
    tables,
)
from mintonce_server.config.server import ServerSettings

CONFIG: Final = f"{PREFIX}CONFIG"
_OF_CLIENTS: Final = (
    "TARGET", "TLS", "CA_FILE", "CERTIFICATE_FILE", "KEY_FILE", "SERVER_NAME", "BEARER_FILE", "API_KEY_FILE"
)  # fmt: skip
_NOT_SETTINGS: Final = frozenset({CONFIG, *(PREFIX + name for name in _OF_CLIENTS)})
_TOP: Final = frozenset(ServerSettings.model_fields)

# Kubernetes tells every pod about every Service: one that is called mintonce or mintonce-redis makes such variables.
_KUBERNETES = re.compile(
    r"MINTONCE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)", re.ASCII
)
_POSITION = re.compile(r"\(at [^()]*\)\Z")


class EnvironmentSource(EnvSettingsSource):
    """The variables that begin with MINTONCE_; two underscores lead into a table.

    `names`: the values of the config file, whose spelling of issuers and clients the variables take over.
    """

    def __init__(
        self, settings: type[BaseSettings], environ: Mapping[str, str], names: dict[str, Any], findings: Findings
    ) -> None:
        super().__init__(settings, case_sensitive=True, env_prefix="", env_nested_delimiter=DELIMITER)
        self._names = names
        self._findings = findings
        self.env_vars = {DELIMITER.join(path): value for path, value in self._read(environ).items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """A variable is text: JSON in it means nothing, so that a secret cannot be mistaken for some."""
        return value

    def _read(self, environ: Mapping[str, str]) -> dict[SettingPath, str]:
        names: dict[SettingPath, str] = {}
        for name in sorted(environ):
            # An empty variable counts as none: that is what `${SECRET:-}` in a compose file leaves behind.
            if not name.startswith(PREFIX) or name in _NOT_SETTINGS or _KUBERNETES.fullmatch(name) or not environ[name]:
                continue
            path = self._path_of(name)
            if path is None:
                continue
            if path in names:
                self._note(name, f"says the same as {names[path]}", "Set only one of them.")
            names[path] = name
            self._findings.origins[path] = f"variable {name}"
            if not _is_unicode(environ[name]):
                self._findings.spoil(path, "is not UTF-8 text", "Set it anew, as UTF-8.")
        for path, name in names.items():
            if outer := next((names[path[:end]] for end in range(1, len(path)) if path[:end] in names), None):
                self._note(name, f"stands inside of {outer}, which is set too", "Set only one of them.")
        return {path: environ[name] for path, name in names.items()}

    def _note(self, name: str, what: str, remedy: str) -> None:
        self._findings.faults.append(Fault(f"variable {name}", what, remedy))

    def _path_of(self, name: str) -> SettingPath | None:
        short = name.removeprefix(PREFIX)
        if short in SHORTCUTS:
            return SHORTCUTS[short]
        parts = [part.lower() for part in short.split(DELIMITER)]
        if parts[0] in NAMED and len(parts) > 1:
            return (parts[0], self._spelled(parts[0], parts[1]), *parts[2:])
        if parts[0] in (*NAMED, *PLAIN) or (parts[0] in _TOP and len(parts) == 1):
            return tuple(parts)
        known = {*SHORTCUTS, *(top.upper() for top in _TOP), "REDIS__DEADLINE", "REDIS__PREFIX"}
        remedy = did_you_mean(name, (PREFIX + other for other in known))
        self._note(name, "is no setting", remedy)
        return None

    def _spelled(self, section: str, name: str) -> str:
        """The name as the config file spells it: variables have neither small letters nor `.` and `-`."""
        same = (other for other in table(self._names, section) or () if _folded(other) == _folded(name))
        return next(same, name)


class ConfigFileSource(InitSettingsSource):
    """The TOML file, if there is one, less what the environment says in another way.

    Not TomlConfigSettingsSource: besides what is said above, that one reads whatever size and whoever else may read it.
    """

    def __init__(self, settings: type[BaseSettings], config: Path | None, findings: Findings) -> None:
        values: dict[str, Any] = {}
        if config is not None:
            findings.config = str(config)
            try:
                values = _read_toml(config)
            except FileFault as error:
                findings.complete = False
                findings.faults.append(error.at(findings.config))
        _note_origins(findings, values, ())
        if config is not None:
            _anchor_files(values, config.parent)
        super().__init__(settings, values)
        self.values = values

    def __call__(self) -> dict[str, Any]:
        """The environment is asked before this source: `current_state` is what it says."""
        for path, given in tables(self.values):
            if path[0] not in TWO_WAYS:
                continue
            said = table(self.current_state, *path) or {}
            one, other = TWO_WAYS[path[0]]
            for way, instead in ((one, other), (other, one)):
                if instead in said:
                    given.pop(way, None)
        return self.values


def _read_toml(config: Path) -> dict[str, Any]:
    values = _parse(read_regular(config))
    if _holds_secret(values):
        refuse_if_open(config)
    refuse_if_writable(config)
    return values


def _parse(data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode())
    except tomllib.TOMLDecodeError as error:
        # Only the position: the message may quote a character of a secret, newer ones carry the whole document.
        position = _POSITION.search(str(error))
        what = f"this is not TOML {position[0]}" if position else "this is not TOML"
    except UnicodeDecodeError:
        what = "this is not UTF-8 text"
    except (RecursionError, ValueError):  # the latter: a number of thousands of digits
        what = "this is nested too deeply"
    raise FileFault(what, "Mend the file; https://toml.io says how TOML is written.")


def _holds_secret(values: dict[str, Any]) -> bool:
    """Whether a client_secret, or a URL with a password, stands in the file itself."""
    url = (table(values, "redis") or {}).get("url")
    secrets = (given.get("client_secret") for path, given in tables(values) if path[0] == "clients")
    return (isinstance(url, str) and "@" in url) or any(secret is not None for secret in secrets)


def _note_origins(findings: Findings, values: dict[str, Any], path: SettingPath) -> None:
    for name, value in values.items():
        here = (*path, name)
        findings.origins[here] = f"{findings.config}: {dotted(here)}"
        if isinstance(value, dict) and len(here) < 3:  # deeper there are only values, such as `extra`
            _note_origins(findings, cast("dict[str, Any]", value), here)


def _anchor_files(values: dict[str, Any], directory: Path) -> None:
    """File names in a config file count from that file; those in variables count from the working directory."""
    for given in (values, *(found for _, found in tables(values))):
        for name, value in given.items():
            if name.endswith("_file") and isinstance(value, str) and value:
                given[name] = str(directory / value)


def _folded(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _is_unicode(text: str) -> bool:
    """Python hides bytes of a variable that are not UTF-8 in lone surrogates, which nothing beyond it can take."""
    return not any("\ud800" <= char <= "\udfff" for char in text)
