"""Whatever stands in a file or the environment: settings, or a SettingsError."""

import string
import tempfile
from pathlib import Path
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from mintonce_server.config import SettingsError, load

NAMES = st.sampled_from(
    [
        "LISTEN", "REDIS", "REDIS_URL", "REDIS__URL", "REDIS__URL_FILE", "OAUTH_DOMAIN", "CLIENT_ID", "CLIENT_SECRET",
        "CLIENT_SECRET_FILES", "AUDIENCES", "CLIENTS", "CLIENTS__A", "CLIENTS__A__EXTRA", "CLIENTS__A__EXTRA__B",
        "CLIENTS__A__ISSUER", "ISSUERS__A__DOMAIN", "ISSUERS__A__TOKEN_URL", "ISSUERS____DOMAIN", "LEASE_TTL", "_",
        "", "LISTEN__X", "CLIENTS__A__CLIENT_ID__X",
    ]
)  # fmt: skip
VALUES = st.text(max_size=30) | st.sampled_from(
    [
        "https://a",
        "redis://h",
        "unix:/x",
        "127.0.0.1:1",
        "a.example.com",
        "1",
        "true",
        "\udcff",
        "http://[",
        "a\0b",
        "unix:///x",
    ]
)
JSON = st.recursive(
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(string.printable, max_size=8)
    | st.sampled_from(["nan", "inf"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def load_or_fault(config: Path | None, environ: dict[str, str]) -> None:
    try:
        load(config, environ)
    except SettingsError as error:
        faults = error.issues
    else:
        return
    assert faults
    assert all(str(fault).isprintable() for fault in faults)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(NAMES.map("MINTONCE_".__add__), VALUES, max_size=8))
def test_any_environment(environ: dict[str, str]) -> None:
    """An environment never makes the program crash with anything but the list of its faults."""
    load_or_fault(None, environ)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_as_config_file(data: bytes) -> None:
    """Nor does any file."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        load_or_fault(Path(file.name), {})


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "listen", "redis", "redis.url", "redis.url_file", "issuers", "issuers.a", "issuers.a.domain",
                "issuers.a.request", "issuers.a.token_url", "clients.a", "clients.a.client_id",
                "clients.a.client_secret", "clients.a.extra", "clients.a.client_secret_files", "clients.a.audiences",
                'clients."".issuer', "mint_timeout",
            ]
        ),
        JSON,
        max_size=8,
    )
)  # fmt: skip
def test_any_values_in_a_config_file(values: dict[str, object]) -> None:
    """Nor do values of the wrong kind at the right place."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_text("\n".join(f"{name} = {toml(value)}" for name, value in values.items()))
        load_or_fault(Path(file.name), {})


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, cast("list[object]", value))) + "]"
    if isinstance(value, str) and value not in ("nan", "inf"):
        return '"' + "".join(f"\\u{ord(char):04x}" for char in value) + '"'
    return str(value)
