"""From what was found to valid settings, or to all faults at once."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import PydanticBaseSettingsSource

from mintonce_server.config.checks import Parts, check
from mintonce_server.config.faults import Fault, SettingPath, SettingsError, did_you_mean
from mintonce_server.config.findings import NAMED, Findings, table, tables
from mintonce_server.config.guard_checks import check_guards
from mintonce_server.config.models import (
    ClientSettings,
    IssuerSettings,
    JwtIssuerSettings,
    RedisSettings,
    Settings,
    TlsSettings,
)
from mintonce_server.config.resolving import ResolvingSource
from mintonce_server.config.server import ServerSettings
from mintonce_server.config.sources import CONFIG, ConfigFileSource, EnvironmentSource
from mintonce_server.config.types import FAULT
from mintonce_server.core.secret import Secret

_Model = TypeVar("_Model", bound=BaseModel)

_SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "redis": RedisSettings,
    "tls": TlsSettings,
    "jwt_issuers": JwtIssuerSettings,
    "issuers": IssuerSettings,
    "clients": ClientSettings,
}
_NEAR: Final = RedisSettings(url=Secret("unix:///"))
_FEWEST = (
    "Set MINTONCE_OAUTH_DOMAIN, MINTONCE_CLIENT_ID and MINTONCE_CLIENT_SECRET_FILE;"
    " or write a table [clients.NAME] into a file, and name it with --config."
)

# With PYDANTIC_SETTINGS_DEBUG it logs what every source says, secrets in clear, at the level of debug.
logging.getLogger("pydantic_settings").setLevel(logging.INFO)


def load(config: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings from `config` (or the file that MINTONCE_CONFIG names) and the environment, which wins.

    Raises SettingsError with every fault. It has no cause: a validation error holds the values, secrets among them.
    """
    if config is None and environ.get(CONFIG):
        config = Path(environ[CONFIG])
    findings = Findings()
    file = ConfigFileSource(Settings, config, findings)
    environment = EnvironmentSource(Settings, environ, file.values, findings)
    resolving = ResolvingSource(Settings, findings)
    settings = _validated(findings, environment, file, resolving)
    if not findings.complete:
        raise SettingsError(findings.faults)
    parts = Parts(settings, settings.issuers) if settings else _valid_parts(resolving.values, findings)
    faults = [*findings.faults, *check(parts, resolving.values, findings)]
    if (whole := settings or _salvaged(resolving.values, parts, findings)) is not None:
        faults += check_guards(whole, findings)
    if not resolving.values["clients"]:
        faults.append(Fault("settings", "no client is registered", _FEWEST))
    if faults or settings is None:
        raise SettingsError(faults)
    return settings


def _validated(findings: Findings, *sources: PydanticBaseSettingsSource) -> Settings | None:
    """The settings, or None with their faults noted."""
    try:
        return Settings.from_sources(*sources)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    if not findings.complete:
        return None  # what would be missing stands in the file that could not be read
    for detail in details:
        _note_fault(detail, findings)
    return None


def _note_fault(detail: ErrorDetails, findings: Findings) -> None:
    location = tuple(map(str, detail["loc"]))
    # Deeper steps are list positions, keys of `extra`, and names that pydantic gives to its unions.
    path = location[: 1 if location[0] not in _SECTIONS else 3 if location[0] in NAMED else 2]
    context = detail.get("ctx", {})
    match detail["type"]:
        case kind if kind == FAULT and location[2:] == ("[key]",):
            findings.faults.append(Fault(findings.where(path[:2]), "the name is malformed", context["remedy"]))
        case kind if kind == FAULT:
            findings.spoil(path, context["what"], context["remedy"])
        case "extra_forbidden":
            findings.spoil(path, "is no setting", did_you_mean(path[-1], _model_at(path).model_fields))
        case "missing":
            findings.spoil(path, "is missing", f"Set it. {_meaning(path)}")
        case "dict_type" if len(path) == 1 and path[0] in NAMED:
            findings.spoil(path, "is no table", f"Write tables [{path[0]}.NAME].")
        case "model_type":
            findings.spoil(path, "is no table", "Write its settings one by one.")
        case _:
            findings.spoil(path, detail["msg"].replace("Input", "the value", 1), _meaning(path))


def _model_at(path: SettingPath) -> type[BaseModel]:
    return Settings if len(path) == 1 else _SECTIONS[path[0]]


def _meaning(path: SettingPath) -> str:
    info = _model_at(path).model_fields.get(path[-1])
    return (info.description if info else None) or ""


def _valid_parts(values: dict[str, Any], findings: Findings) -> Parts:
    """What is left without the faulty settings, whose faults are noted: it can still be checked with the rest."""
    top = {name: value for name, value in values.items() if name not in _SECTIONS}
    issuers = {path[1]: given for path, given in tables(values) if path[0] == "issuers"}
    valid = {name: _valid_part(IssuerSettings, given, ("issuers", name), findings) for name, given in issuers.items()}
    return Parts(
        _valid_part(ServerSettings, top, (), findings),
        {name: issuer for name, issuer in valid.items() if issuer is not None},
    )


def _salvaged(values: dict[str, Any], parts: Parts, findings: Findings) -> Settings | None:
    """The valid parts as if they were all, so that faults between them are told in one go with the rest."""
    redis = _valid_part(RedisSettings, table(values, "redis") or {}, ("redis",), findings)
    if parts.server is None:
        return None
    named: dict[str, Any] = {section: {} for section in NAMED}
    for path, given in tables(values):
        if path[0] in NAMED and (part := _valid_part(_SECTIONS[path[0]], given, path, findings)):
            named[path[0]][path[1]] = part
    tls = _valid_part(TlsSettings, table(values, "tls") or {}, ("tls",), findings)
    return Settings.model_construct(**dict(parts.server), redis=redis or _NEAR, tls=tls, **named)


def _valid_part(model: type[_Model], given: dict[str, Any], path: SettingPath, findings: Findings) -> _Model | None:
    try:
        return model.model_validate(
            {name: value for name, value in given.items() if (*path, name) not in findings.spoiled}
        )
    except ValidationError:  # what is left is not enough; its faults are noted
        return None
