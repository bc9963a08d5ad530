"""The environment and the config file as sources of pydantic-settings, which merges and validates what they contain.

Why its own sources are not used as they are: EnvSettingsSource silently ignores unknown variables and decodes JSON in
values; TomlConfigSettingsSource silently ignores a missing file, and reads files of any size that anyone may write.
Neither says in which variable or file a value stood, and the errors of both contain values, secrets among them.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource

from mintonce_server.common.files import FileError, read_file, require_not_writable, require_private
from mintonce_server.common.strict_toml import NotToml, parse_toml
from mintonce_server.config.issues import (
    ALTERNATIVES,
    BUDGET,
    DELIMITER,
    FILES,
    NAMED_SECTIONS,
    PLAIN_SECTIONS,
    PREFIX,
    SHORT_VARIABLES,
    Issues,
    SettingPath,
    did_you_mean,
    dotted,
    file_issue,
    table,
    tables,
)
from mintonce_server.config.models import LimitsSettings, RedisSettings, ServerSettings
from mintonce_server.config.old_names import OLD_VARIABLES
from mintonce_server.config.placeholders import Credentials, with_paths
from mintonce_server.config.profiles import PROFILES, UNNAMED, Profile, defaults, token_url_of
from mintonce_server.config.types import comma_separated, read_secret

CONFIG: Final = f"{PREFIX}CONFIG"
_OF_CLIENTS: Final = (
    "TARGET", "TLS", "CA_FILE", "CERTIFICATE_FILE", "KEY_FILE", "SERVER_NAME", "BEARER_FILE", "API_KEY_FILE"
)  # fmt: skip
_NOT_SETTINGS: Final = frozenset({CONFIG, *(PREFIX + name for name in _OF_CLIENTS)})
_TOP: Final = frozenset(ServerSettings.model_fields)
_OF_HEADERS: Final = ("headers", "header_files")

# Kubernetes sets such variables in every pod if there is a Service named mintonce or mintonce-redis.
_KUBERNETES = re.compile(
    r"MINTONCE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)", re.ASCII
)


class EnvironmentSource(EnvSettingsSource):
    """The variables that begin with MINTONCE_; two underscores separate the parts of a path.

    `names`: the values of the config file, which define how names of issuers and clients are spelled.
    """

    def __init__(
        self, settings: type[BaseSettings], environ: Mapping[str, str], names: dict[str, Any], issues: Issues
    ) -> None:
        super().__init__(settings, case_sensitive=True, env_prefix="", env_nested_delimiter=DELIMITER)
        self._names = names
        self._issues = issues
        self._credentials = Credentials(environ, issues)
        self.env_vars = {DELIMITER.join(path): self._file(path, value) for path, value in self._read(environ).items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """A variable is a string: JSON in it is not decoded, so that a secret cannot be mistaken for JSON."""
        return value

    def _read(self, environ: Mapping[str, str]) -> dict[SettingPath, str]:
        names: dict[SettingPath, str] = {}
        for name in sorted(environ):
            if not environ[name]:
                continue  # it counts as unset: `${SECRET:-}` in a compose file results in one
            self._report_small_letters(name)
            if not name.startswith(PREFIX) or name in _NOT_SETTINGS or _KUBERNETES.fullmatch(name):
                continue
            path = self._path_of(name)
            if path is None:
                continue
            if path in names:
                self._issues.add_variable(name, f"sets the same as {names[path]}", "Set only one of them.")
            names[path] = name
            self._issues.origins[path] = f"variable {name}"
            if not _is_unicode(environ[name]):
                self._issues.add(path, "is not UTF-8 text", "Set it again, as UTF-8.")
        for path, name in names.items():
            if outer := next((names[path[:end]] for end in range(1, len(path)) if path[:end] in names), None):
                self._issues.add_variable(name, f"is part of {outer}, which is also set", "Set only one of them.")
        return {path: environ[name] for path, name in names.items()}

    def _file(self, path: SettingPath, value: str) -> str:
        parts = list(path)
        setting = parts[2] if len(parts) > 3 else parts[-1]
        if "${" not in value or not setting.endswith(("_file", "_files")):
            return value
        names = value.split(",") if parts[-1].endswith("_files") else [value]
        return ",".join(self._credentials.path(path, name.strip()) for name in names)

    def _path_of(self, name: str) -> SettingPath | None:
        short = name.removeprefix(PREFIX)
        if short in SHORT_VARIABLES:
            return SHORT_VARIABLES[short]
        parts = [part.lower() for part in short.split(DELIMITER)]
        if parts[0] in NAMED_SECTIONS and len(parts) > 1:
            path = (parts[0], self._spelled(parts[1], parts[0]), *parts[2:])
            if len(path) == 4 and path[2] in _OF_HEADERS:
                return (*path[:3], self._spelled(path[3].replace("_", "-"), *path[:3]))
            return path
        if parts[0] in (*NAMED_SECTIONS, *PLAIN_SECTIONS) or (parts[0] in _TOP and len(parts) == 1):
            return tuple(parts)
        if self._issues.add_old_name(OLD_VARIABLES.get(short, tuple(parts)), name):
            return None
        known = {*SHORT_VARIABLES, *(top.upper() for top in _TOP)}
        known |= {f"REDIS{DELIMITER}{field.upper()}" for field in RedisSettings.model_fields if "url" not in field}
        known |= {f"LIMITS{DELIMITER}{field.upper()}" for field in LimitsSettings.model_fields}
        remedy = did_you_mean(name, (PREFIX + other for other in known))
        self._issues.add_variable(name, "is not a setting", remedy)
        return None

    def _spelled(self, name: str, *path: str) -> str:
        """The name as the config file spells it: variables have neither lower case letters nor `.` and `-`."""
        same = (other for other in table(self._names, *path) or () if _folded(other) == _folded(name))
        return next(same, name)

    def _report_small_letters(self, name: str) -> None:
        """A variable that would be a setting if it began with capitals is a mistake; any other one is not ours."""
        meant = name.upper()
        if name.startswith(PREFIX) or not meant.startswith(PREFIX):
            return
        short = meant.removeprefix(PREFIX)
        first = short.partition(DELIMITER)[0].lower()
        if short in SHORT_VARIABLES or first in (*NAMED_SECTIONS, *PLAIN_SECTIONS, *_TOP):
            self._issues.add_variable(name, "is not read, because it does not begin with MINTONCE_", f"Set {meant}.")


class ConfigFileSource(InitSettingsSource):
    """The TOML file, if there is one, without the settings whose alternative the environment sets."""

    def __init__(
        self, settings: type[BaseSettings], config: Path | None, credentials: Credentials, issues: Issues
    ) -> None:
        values: dict[str, Any] = {}
        if config is not None:
            issues.config = str(config)
            try:
                values = _read_toml(config)
            except FileError as error:
                issues.complete = False
                issues.found.append(file_issue(issues.config, error))
        _note_origins(issues, values, ())
        if config is not None:
            _resolve_files(values, config.parent, credentials)
        super().__init__(settings, values)
        self.values = values

    def __call__(self) -> dict[str, Any]:
        """pydantic-settings calls the environment source first: `current_state` holds its values."""
        for path, given in tables(self.values):
            in_environment = table(self.current_state, *path) or {}
            for group in ALTERNATIVES.get(path[0], ()):
                if chosen := [setting for setting in group if setting in in_environment]:
                    for setting in set(group) - set(chosen):
                        given.pop(setting, None)
        return self.values


class ResolvingSource(InitSettingsSource):
    """The last source: adds secrets from files and token URLs from domains, and overrides nothing.

    Not SecretsSettingsSource: that one finds files by their names in one folder; here settings name each file.
    """

    def __init__(self, settings: type[BaseSettings], issues: Issues) -> None:
        super().__init__(settings, {})
        self.values: dict[str, Any] = {}
        """After the call: all that was found, merged and completed."""
        self._issues = issues

    def __call__(self) -> dict[str, Any]:
        values = deepcopy(self.current_state)
        for section in ("redis", *NAMED_SECTIONS):
            values.setdefault(section, {})  # a missing setting is then reported by its own name
        for path, given in tables(values):
            if not self._has_both(path, given):
                self._complete(path, given)
        self.values = values
        return values

    def _has_both(self, path: SettingPath, given: dict[str, Any]) -> bool:
        found = False
        for group in ALTERNATIVES.get(path[0], ()):
            one, *others = [setting for setting in group if setting in given] or [""]
            if others:
                found = True
                self._issues.add((*path, one), f"is set, and {others[0]} too", f"Set either {one} or {others[0]}.")
                self._issues.invalid |= {(*path, other) for other in others}
        return found

    def _complete(self, path: SettingPath, given: dict[str, Any]) -> None:
        if path[0] == "issuers":
            self._complete_issuer(path, given)
        elif path[0] in FILES:
            plain, file = FILES[path[0]]
            listed = comma_separated(given.get(file))
            names = cast("list[object]", listed) if isinstance(listed, list) else [listed]
            first = names[0] if names else None
            if isinstance(first, str):
                self._read_file(path, given, plain, file, Path(first))

    def _read_file(self, path: SettingPath, given: dict[str, Any], plain: str, setting: str, file: Path) -> None:
        try:
            given[plain] = read_secret(file)
        except FileError as error:
            self._issues.add((*path, setting), f"the file {error}", error.remedy)
            self._issues.invalid.add((*path, plain))
        else:
            self._issues.origins[*path, plain] = self._issues.where((*path, setting))

    def _complete_issuer(self, path: SettingPath, given: dict[str, Any]) -> None:
        provider = given.get("provider")
        profile = PROFILES.get(provider.lower()) if isinstance(provider, str) else None
        source = "provider" if profile else "domain"
        profile = profile or (UNNAMED if "domain" in given else Profile())
        for name, value in defaults(profile, given).items():
            given[name] = value
            self._issues.origins[*path, name] = f"{self._issues.where((*path, source))} (default of it)"
        if "domain" in given:
            self._add_token_url(path, given, profile)
        elif not {"token_url", "issuer"} & given.keys():
            remedy = f"Set {profile.address}." if profile.address else "Set token_url, `issuer` or domain."
            self._issues.add((*path, "token_url"), "is missing", remedy)

    def _add_token_url(self, path: SettingPath, given: dict[str, Any], profile: Profile) -> None:
        domain, target = (*path, "domain"), (*path, "token_url")
        self._issues.invalid.add(target)  # until it is known: only the domain itself is reported
        if not isinstance(given["domain"], str) or domain in self._issues.invalid:
            return
        url = token_url_of(profile, given["domain"])
        if url is not None:
            given["token_url"] = url
            self._issues.invalid.discard(target)
            self._issues.origins[target] = self._issues.where(domain)
        elif profile.token_url:
            self._issues.add(
                domain,
                "contains more than a host",
                "Write only the host; or instead of domain, token_url with the whole URL, or `issuer` with the "
                "issuer's identifier, such as https://HOST/realms/NAME.",
            )
        else:
            self._issues.add(
                domain, "does not lead to the token endpoint of this provider", f"Set {profile.address} instead."
            )


def _read_toml(config: Path) -> dict[str, Any]:
    values = _parse(read_file(config))
    if _holds_secret(values):
        require_private(config)
    require_not_writable(config)
    return values


def _parse(data: bytes) -> dict[str, Any]:
    try:
        return parse_toml(data)
    except NotToml as error:
        raise FileError(str(error), "Fix the syntax; see https://toml.io.") from error


def _holds_secret(values: dict[str, Any]) -> bool:
    """Whether a client_secret, or a URL with a password, stands in the config file itself."""
    url = (table(values, "redis") or {}).get("url")
    secrets = (given.get("client_secret") for path, given in tables(values) if path[0] == "clients")
    return (isinstance(url, str) and "@" in url) or any(secret is not None for secret in secrets)


def _note_origins(issues: Issues, values: dict[str, Any], path: SettingPath) -> None:
    for name, value in values.items():
        here = (*path, name)
        issues.origins[here] = f"{issues.config}: {dotted(here)}"
        if isinstance(value, dict) and (len(here) < 3 or here[2:] == (BUDGET,)):  # else only values, as in `extra`
            _note_origins(issues, cast("dict[str, Any]", value), here)


def _resolve_files(values: dict[str, Any], directory: Path, credentials: Credentials) -> None:
    """Relative paths in a config file start from its folder; those in variables from the working directory."""
    for path, given in (((), values), *tables(values)):
        for name, value in given.items():
            given[name] = with_paths(name, value, partial(credentials.path, (*path, name), relative_to=directory))


def _folded(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _is_unicode(text: str) -> bool:
    """Python represents bytes of a variable that are not UTF-8 as lone surrogates, which cannot be encoded again."""
    return not any("\ud800" <= char <= "\udfff" for char in text)
