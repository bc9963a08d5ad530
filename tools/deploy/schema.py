"""The JSON schema of the chart's values, from the values themselves and from the server's settings. Strict."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from mintonce_server.config.reference import Row, reference

if TYPE_CHECKING:
    from deploy.values import Value

Schema = dict[str, Any]

_ADDRESS: Final[Schema] = {"type": "string", "pattern": r"^(0\.0\.0\.0|\[::\]):[0-9]{1,5}$"}
"""Of all interfaces: the kubelet, Services and Prometheus come by the address of the pod."""
_TEXTS: Final[Schema] = {"type": "array", "items": {"type": "string"}}
_TYPES: Final[dict[str, Schema]] = {
    "true or false": {"type": "boolean"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "duration": {"type": ["number", "string"], "pattern": r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)?$"},
    "address": _ADDRESS,
    "list of strings": _TEXTS,
    "list of files": _TEXTS,
    "table": {"type": "object"},
    "table of files": {"type": "object", "additionalProperties": {"type": "string"}},
}
_SECRET: Final = ("redis.url", "clients.NAME.client_secret")
"""Settings that hold a secret themselves. Each has another one that names a file."""
_SECRET_VARIABLES: Final = "^MINTONCE_(REDIS_URL|REDIS__URL|CLIENT_SECRET|CLIENTS__.+__CLIENT_SECRET)$"

_RULE: Final[Schema] = {
    "type": "object",
    "required": ["name", "callers", "clients", "audiences"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "may": {"type": "array", "items": {"enum": ["get", "watch", "reject", "admin"]}},
        **dict.fromkeys(("callers", "clients", "audiences", "scopes"), _TEXTS),
    },
}
_PORTS: Final[Schema] = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}}
_SPECIAL: Final[dict[str, Schema]] = {
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "policy.rules": {"type": "array", "items": _RULE},
    "networkPolicy.redis.ports": _PORTS,
    "networkPolicy.issuer.ports": _PORTS,
    "networkPolicy.apiServer.ports": _PORTS,
    "podDisruptionBudget.maxUnavailable": {"type": ["integer", "string"], "pattern": "^[0-9]+%$"},
    "metrics.podMonitor.scheme": {"enum": ["", "http", "https"]},
    "terminationGracePeriodSeconds": {"type": ["integer", "null"], "minimum": 0},
    "extraEnv": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}},
            "if": {"properties": {"name": {"pattern": _SECRET_VARIABLES}}},
            "then": {"properties": {"value": False}},
        },
    },
    "extraObjects": {"type": "array", "items": {"type": ["object", "string"]}},
}


def schema(values: list[Value]) -> Schema:
    """Of all values: those that are not known are refused."""
    root = _closed()
    root |= {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart mintonce"}
    for value in values:
        if value.path[0] != "config":
            _place(root, value.path, _of(value))
    root["properties"]["config"] = config(reference())
    root["properties"]["global"].pop("additionalProperties")  # other charts share it
    return root


def config(rows: list[Row]) -> Schema:
    """Of `config`: the settings that the server knows, without those that hold a secret."""
    root = _closed()
    for row in rows:
        if row.name not in _SECRET:
            _place(root, tuple(row.name.split(".")), _of_setting(row.type))
    return _or_null(root)


def _or_null(schema: Schema) -> Schema:
    """The same, with null allowed for each part: in Helm's values it takes away what other values set."""
    found = dict(schema)
    if "enum" in found:
        found["enum"] = [*found["enum"], None]
    if isinstance(kind := found.get("type"), str):
        found["type"] = [kind, "null"]
    elif kind is not None:
        found["type"] = [*cast("list[str]", kind), "null"]
    if "properties" in found:
        found["properties"] = {name: _or_null(part) for name, part in found["properties"].items()}
        if (others := found["additionalProperties"]) is not False:
            found["additionalProperties"] = _or_null(others)
    return found


def _of_setting(kind: str) -> Schema:
    words = re.findall(r"`([^`]+)`", kind)
    if words and re.fullmatch(r"`[^`]+`((, | or )`[^`]+`)*", kind):
        return {"enum": words}
    return _TYPES.get(kind, {"type": "string"})


def _closed() -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _place(root: Schema, path: tuple[str, ...], leaf: Schema) -> None:
    """Puts a schema where the path leads. NAME in it stands for any name."""
    *folders, last = path
    for name in folders:
        if name == "NAME":
            if root.get("additionalProperties") is False:
                root["additionalProperties"] = _closed()
            root = root["additionalProperties"]
        else:
            if "properties" not in root["properties"].get(name, {}):  # it may be there as a table without its parts
                root["properties"][name] = _closed()
            root = root["properties"][name]
    if last not in root["properties"]:
        root["properties"][last] = leaf


def _of(value: Value) -> Schema:
    if value.has_parts:
        return _closed()
    if found := _SPECIAL.get(".".join(value.path)):
        return found
    match value.default:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": 0}
        case str():
            return {"type": "string"}
        case list():
            return {"type": "array"}
        case dict():
            return {"type": "object"}
        case _:
            raise ValueError(f"{'.'.join(value.path)}: its default does not say its type, so name it in _SPECIAL")
