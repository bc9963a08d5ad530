"""The settings in effect, each with where it comes from. Shows no secret."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from pydantic import BaseModel

from mintonce_server.config.issuer_models import ClientSettings
from mintonce_server.config.issues import BUDGET, NAMED_SECTIONS, PLAIN_SECTIONS, SettingPath, dotted
from mintonce_server.config.models import RedisSettings, Settings
from mintonce_server.core.secret import Secret

_WIDTH: Final = 48
_HIDDEN: Final = "[hidden]"
_URLS: Final = frozenset({"token_url", "jwks_url"})
"""Without their query, which may hold a key."""

_PRIVATE: Final = frozenset({"extra", "headers"})
"""Tables whose values may be secret: only their names are shown."""


def effective(settings: Settings, origins: Mapping[SettingPath, str]) -> Iterator[str]:
    """Lines in the form of TOML. A comment says where the value comes from.

    `origins`: for each path, the file or variable that set it; a missing one is a default.
    """
    sections = (*PLAIN_SECTIONS, *NAMED_SECTIONS)
    yield from _lines(settings, (), origins, [name for name in Settings.model_fields if name not in sections])
    for section in PLAIN_SECTIONS:
        if (part := getattr(settings, section)) is not None:
            yield from _table(part, (section,), origins)
    for section in NAMED_SECTIONS:
        for name, part in getattr(settings, section).items():
            yield from _table(part, (section, name), origins)
            if isinstance(part, ClientSettings) and part.budget is not None:
                yield from _table(part.budget, (section, name, BUDGET), origins)


def _table(part: BaseModel, path: SettingPath, origins: Mapping[SettingPath, str]) -> Iterator[str]:
    yield ""
    yield f"[{dotted(path)}]"
    yield from _lines(part, path, origins, list(type(part).model_fields))


def _lines(part: BaseModel, path: SettingPath, origins: Mapping[SettingPath, str], names: list[str]) -> Iterator[str]:
    for name in names:
        value = part.safe_url if isinstance(part, RedisSettings) and name == "url" else getattr(part, name)
        if name in _URLS and isinstance(value, str):
            value = value.partition("?")[0]
        origin = origins.get((*path, name), "default")
        if isinstance(value, BaseModel):
            continue  # a table of its own
        if value is None:
            yield f"# {name} is not set"
        else:
            yield f"{f'{name} = {_shown(name, value)}':<{_WIDTH}}  # {origin}"


def _shown(name: str, value: object) -> str:
    match value:
        case Secret():
            return f'"{_HIDDEN}"'
        case dict():
            table = cast("dict[str, object]", value)
            return _inline({key: _HIDDEN if name in _PRIVATE else str(item) for key, item in table.items()})
        case tuple():
            items = cast("tuple[object, ...]", value)
            return json.dumps([str(item) for item in items], ensure_ascii=False)
        case bool() | int():
            return json.dumps(value)
        case float():
            return f"{value:g}"
        case Path() | str():
            return json.dumps(str(value), ensure_ascii=False)
        case _:
            return f'"{_HIDDEN}"'


def _inline(table: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{dotted([key])} = {json.dumps(item)}" for key, item in table.items()) + "}"
