"""The settings reference, generated from the models."""

import json
from collections.abc import Iterator
from typing import Final, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mintonce_server.config.issuer_models import BudgetSettings, ClientSettings, IssuerSettings
from mintonce_server.config.models import (
    HttpSettings,
    JwtIssuerSettings,
    LimitsSettings,
    LogSettings,
    RedisSettings,
    ServerSettings,
    TlsSettings,
    TokenEndpointSettings,
    TracingSettings,
)
from mintonce_server.config.types import Kind

_SECTIONS: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("", ServerSettings),
    ("http.", HttpSettings),
    ("limits.", LimitsSettings),
    ("log.", LogSettings),
    ("redis.", RedisSettings),
    ("tls.", TlsSettings),
    ("token_endpoint.", TokenEndpointSettings),
    ("tracing.", TracingSettings),
    ("jwt_issuers.NAME.", JwtIssuerSettings),
    ("issuers.NAME.", IssuerSettings),
    ("clients.NAME.", ClientSettings),
    ("clients.NAME.budget.", BudgetSettings),
)
_HEAD = "| Setting | Type | Default | Meaning |\n|---|---|---|---|\n"


class Row(NamedTuple):
    """One setting. `default` is written as in TOML; "" if there is none."""

    name: str
    type: str
    default: str
    meaning: str


def reference() -> list[Row]:
    """Every setting, in the order of the models."""
    return list(_rows())


def reference_table() -> str:
    """The reference in Markdown."""
    return _HEAD + "".join(
        f"| `{row.name}` | {row.type} | {_code(row.default)} | {row.meaning} |\n" for row in reference()
    )


def _rows() -> Iterator[Row]:
    for prefix, model in _SECTIONS:
        for name, info in model.model_fields.items():
            yield Row(prefix + name, _kind(info), _default(info, _kind(info)), info.description or "")


def _kind(info: FieldInfo) -> str:
    # Types without a Kind are whole numbers. The Kind of an optional setting is inside of the union.
    candidates = [
        info.metadata,
        *(getattr(part, "__metadata__", ()) for part in getattr(info.annotation, "__args__", ())),
    ]
    return next((item.name for metadata in candidates for item in metadata if isinstance(item, Kind)), "number")


def _default(info: FieldInfo, kind: str) -> str:
    value = "{}" if info.default_factory else info.default
    match value:
        case bool():
            return str(value).lower()
        case float() if kind != "duration":
            return f"{value:g}"
        case float():
            return f'"{value * 1000:g}ms"' if value < 1 else f'"{value:g}s"'
        case int():
            return str(value)
        case "{}":
            return "{}"
        case str():
            return f'"{value}"'
        case tuple():
            return json.dumps(value)
        case _:
            return ""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
