"""Load and validate settings: either valid ones, or all issues in one go."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import PydanticBaseSettingsSource

from mintonce_server.config.checks import Parts, check_access, check_issuers
from mintonce_server.config.issuer_models import BudgetSettings, ClientSettings, IssuerSettings
from mintonce_server.config.issues import (
    BUDGET,
    NAMED_SECTIONS,
    Issues,
    SettingPath,
    SettingsError,
    ValidationIssue,
    did_you_mean,
    table,
    tables,
)
from mintonce_server.config.models import (
    HttpSettings,
    JwtIssuerSettings,
    LimitsSettings,
    LogSettings,
    RedisSettings,
    ServerSettings,
    Settings,
    TlsSettings,
    TokenEndpointSettings,
    TracingSettings,
)
from mintonce_server.config.placeholders import Credentials
from mintonce_server.config.sources import CONFIG, ConfigFileSource, EnvironmentSource, ResolvingSource
from mintonce_server.config.types import CUSTOM_ERROR
from mintonce_server.core.secret import Secret

_Model = TypeVar("_Model", bound=BaseModel)

_SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "http": HttpSettings,
    "limits": LimitsSettings,
    "log": LogSettings,
    "redis": RedisSettings,
    "tls": TlsSettings,
    "token_endpoint": TokenEndpointSettings,
    "tracing": TracingSettings,
    "jwt_issuers": JwtIssuerSettings,
    "issuers": IssuerSettings,
    "clients": ClientSettings,
}
_LOCAL_REDIS: Final = RedisSettings(url=Secret("unix:///"))
_MINIMUM = (
    "Set MINTONCE_OAUTH_DOMAIN, MINTONCE_CLIENT_ID and MINTONCE_CLIENT_SECRET_FILES;"
    " or write a table [clients.NAME] into a file, and name it with --config."
)

# With PYDANTIC_SETTINGS_DEBUG it logs the values of all sources, secrets included, at debug level.
logging.getLogger("pydantic_settings").setLevel(logging.INFO)


def load(config: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings from `config` (default: the file that MINTONCE_CONFIG names) and the environment, which wins.

    Raises SettingsError with every issue. It has no cause: a validation error holds values, secrets among them.
    """
    return load_explained(config, environ)[0]


def load_explained(
    config: Path | None = None, environ: Mapping[str, str] = os.environ
) -> tuple[Settings, Mapping[SettingPath, str]]:
    """As `load`; also where each setting stood. Those that are missing there are defaults."""
    if config is None and environ.get(CONFIG):
        config = Path(environ[CONFIG])
    issues = Issues()
    file = ConfigFileSource(Settings, config, Credentials(environ, issues), issues)
    environment = EnvironmentSource(Settings, environ, file.values, issues)
    resolving = ResolvingSource(Settings, issues)
    settings = _validated(issues, environment, file, resolving)
    if not issues.complete:
        raise SettingsError(issues.found)
    values = resolving.values
    parts = Parts(settings, settings.issuers) if settings else _valid_parts(values, issues)
    found = [*issues.found, *check_issuers(parts, values, issues)]
    if (checkable := settings or _checkable(values, parts, issues)) is not None:
        found += check_access(checkable, issues)
    if not values["clients"]:
        found.append(ValidationIssue("settings", "no client is registered", _MINIMUM))
    if found or settings is None:
        raise SettingsError(found)
    return settings, issues.origins


def _validated(issues: Issues, *sources: PydanticBaseSettingsSource) -> Settings | None:
    """The settings, or None with their issues added."""
    try:
        return Settings.from_sources(*sources)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    if not issues.complete:
        return None  # what seems to be missing may stand in the file that could not be read
    for detail in details:
        _add_issue(detail, issues)
    return None


def _add_issue(detail: ErrorDetails, issues: Issues) -> None:
    location = tuple(map(str, detail["loc"]))
    # Deeper steps are list positions, keys of `extra`, and names that pydantic gives to its unions.
    path = location[: 1 if location[0] not in _SECTIONS else 3 if location[0] in NAMED_SECTIONS else 2]
    if location[2:3] == (BUDGET,):
        path = location[:4]
    context = detail.get("ctx", {})
    match detail["type"]:
        case kind if kind == CUSTOM_ERROR and location[2:] == ("[key]",):
            issues.found.append(ValidationIssue(issues.where(path[:2]), "the name is malformed", context["remedy"]))
        case kind if kind == CUSTOM_ERROR:
            issues.add(path, context["what"], context["remedy"])
        case "extra_forbidden":
            if not issues.add_old_name(path):
                issues.add(path, "is not a setting", did_you_mean(path[-1], _model_at(path).model_fields))
        case "missing":
            issues.add(path, "is missing", f"Set it. {_meaning(path)}")
        case "dict_type" if len(path) == 1 and path[0] in NAMED_SECTIONS:
            issues.add(path, "is not a table", f"Write tables [{path[0]}.NAME].")
        case "model_type":
            issues.add(path, "is not a table", "Write its settings one by one.")
        case "bool_type" | "bool_parsing":
            issues.add(path, "is neither true nor false", f"Write true or false. {_meaning(path)}")
        case "string_type":
            issues.add(path, "is not a string", f"Write it in quotes. {_meaning(path)}")
        case _:
            issues.add(path, detail["msg"].replace("Input", "the value", 1), _meaning(path))


def _model_at(path: SettingPath) -> type[BaseModel]:
    match path:
        case (_,):
            return Settings
        case (_, _, table, _, *_) if table == BUDGET:
            return BudgetSettings
        case _:
            return _SECTIONS[path[0]]


def _meaning(path: SettingPath) -> str:
    info = _model_at(path).model_fields.get(path[-1])
    return (info.description if info else None) or ""


def _valid_parts(values: dict[str, Any], issues: Issues) -> Parts:
    """What is left without the invalid settings, so that the rest is checked too."""
    top = {name: value for name, value in values.items() if name not in _SECTIONS}
    issuers = {path[1]: given for path, given in tables(values) if path[0] == "issuers"}
    valid = {name: _valid_part(IssuerSettings, given, ("issuers", name), issues) for name, given in issuers.items()}
    return Parts(
        _valid_part(ServerSettings, top, (), issues),
        {name: issuer for name, issuer in valid.items() if issuer is not None},
    )


def _checkable(values: dict[str, Any], parts: Parts, issues: Issues) -> Settings | None:
    """The valid sections as if they were all, so that issues between them are reported in the same go."""
    redis = _valid_part(RedisSettings, table(values, "redis") or {}, ("redis",), issues)
    if parts.server is None:
        return None
    named: dict[str, Any] = {section: {} for section in NAMED_SECTIONS}
    for path, given in tables(values):
        if path[0] in NAMED_SECTIONS and (part := _valid_part(_SECTIONS[path[0]], given, path, issues)):
            named[path[0]][path[1]] = part
    tls = _valid_part(TlsSettings, table(values, "tls") or {}, ("tls",), issues)
    return Settings.model_construct(**dict(parts.server), redis=redis or _LOCAL_REDIS, tls=tls, **named)


def _valid_part(model: type[_Model], given: dict[str, Any], path: SettingPath, issues: Issues) -> _Model | None:
    try:
        return model.model_validate(
            {name: value for name, value in given.items() if (*path, name) not in issues.invalid}
        )
    except ValidationError:  # what is left is not enough; its issues are known
        return None
