"""From what was found to valid settings, or to all faults at once."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from mintonce_server.settings.checks import Parts, check
from mintonce_server.settings.faults import Fault, SettingPath, SettingsError, did_you_mean
from mintonce_server.settings.models import ClientSettings, IssuerSettings, RedisSettings, ServerSettings, Settings
from mintonce_server.settings.sources import read
from mintonce_server.settings.tree import Tree
from mintonce_server.settings.values import FAULT, Name

_Model = TypeVar("_Model", bound=BaseModel)

_SECTIONS = frozenset({"redis", "issuers", "clients"})
_NAME: TypeAdapter[str] = TypeAdapter(Name)
_FEWEST = (
    "Set MINTONCE_OAUTH_DOMAIN, MINTONCE_CLIENT_ID and MINTONCE_CLIENT_SECRET_FILE;"
    " or write a table [clients.NAME] into a file, and name it with --config."
)


def load(config: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings from `config` (or the file that MINTONCE_CONFIG names) and the environment, which wins.

    Raises SettingsError with every fault. It has no cause: a validation error holds the values, secrets among them.
    """
    tree = read(config, environ)
    if not tree.complete:
        raise SettingsError(tree.faults)  # what would be missing stands in the file that could not be read
    top = {name: value for name, value in tree.values.items() if name not in _SECTIONS}
    parts = Parts(
        _validated(ServerSettings, top, (), tree),
        _validated_all(IssuerSettings, "issuers", tree),
        _validated_all(ClientSettings, "clients", tree),
    )
    redis = _validated(RedisSettings, tree.values.get("redis", {}), ("redis",), tree)
    faults = [*tree.faults, *check(parts, tree)]
    if not tree.values.get("clients"):
        faults.append(Fault("settings", "no client is registered", _FEWEST))
    if faults or parts.server is None or redis is None:
        raise SettingsError(faults)
    return Settings.model_validate(
        {**dict(parts.server), "redis": redis, "issuers": parts.issuers, "clients": parts.clients}
    )


def _validated_all(model: type[_Model], section: str, tree: Tree) -> dict[str, _Model]:
    """The valid ones of a section by name."""
    found: dict[str, _Model] = {}
    if section in tree.values and tree.table(section) is None:
        tree.spoil((section,), "is no table", f"Write tables [{section}.NAME].")
    for name, values in (tree.table(section) or {}).items():
        _check_name((section, name), tree)
        part = _validated(model, values, (section, name), tree)
        if part is not None:
            found[name] = part
    return found


def _check_name(path: SettingPath, tree: Tree) -> None:
    try:
        _NAME.validate_python(path[-1])
    except ValidationError as error:
        tree.faults.append(Fault(tree.where(path), "the name is malformed", error.errors()[0].get("ctx", {})["remedy"]))


def _validated(model: type[_Model], values: Any, path: SettingPath, tree: Tree) -> _Model | None:
    """The part, with its faults noted. What is faulty is left out: the rest can still be checked with others."""
    if not isinstance(values, dict):
        tree.spoil(path, "is no table", "Write its settings one by one.")
        return None
    given = cast("dict[str, object]", values)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    for detail in details:
        _note_fault(model, detail, path, tree)
    try:
        return model.model_validate({name: value for name, value in given.items() if (*path, name) not in tree.spoiled})
    except ValidationError:  # what is left is not enough; its faults are noted
        return None


def _note_fault(model: type[BaseModel], detail: ErrorDetails, path: SettingPath, tree: Tree) -> None:
    # Only the first step: deeper ones are list positions, keys of `extra`, and names that pydantic gives to its unions.
    field = str(detail["loc"][0])
    if (*path, field) in tree.spoiled:
        return
    info = model.model_fields.get(field)
    about = (info.description or "") if info else ""
    match detail["type"]:
        case "extra_forbidden":
            known = [*model.model_fields, *(() if path else _SECTIONS)]
            what, remedy = "is no setting", did_you_mean(field, known)
        case "missing":
            what, remedy = "is missing", f"Set it. {about}"
        case kind if kind == FAULT:
            context = detail.get("ctx", {})
            what, remedy = context["what"], context["remedy"]
        case _:
            what, remedy = detail["msg"].replace("Input", "the value", 1), about
    tree.spoil((*path, field), what, remedy)
