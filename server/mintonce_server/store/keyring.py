"""The keys that name and seal records: their file, its parser and its rotation."""

import base64
import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

from mintonce_server.common.strict_toml import NotToml, parse_toml
from mintonce_server.core.errors import MintonceError
from mintonce_server.core.secret import Secret

KEY_BYTES: Final = 32
MAX_KEYS: Final = 32

_REMEDY: Final = "Run `mintonced keygen` to see such a file."
_FIRST_TABLE = re.compile(r"^[ \t]*\[\[[ \t]*sealing_keys[ \t]*\]\]", re.MULTILINE)


class KeyringError(MintonceError):
    """The sealing keys file cannot be used. The text contains no byte of a key."""


@dataclass(frozen=True, slots=True)
class SealingKey:
    """An AES-256 key. `id`: 8 bytes that identify it. `seal_from`: seconds since 1970; until then it only opens."""

    id: bytes
    key: bytes = field(repr=False)
    seal_from: float = 0.0

    @classmethod
    def of(cls, key: bytes, seal_from: float = 0.0) -> "SealingKey":
        return cls(hashlib.sha256(b"mintonce sealing key id\0" + key).digest()[:8], key, seal_from)


@dataclass(frozen=True, slots=True)
class Keyring:
    """`index_key` names keys in the store and never changes. `sealing_keys` are rotated; the newest is first."""

    index_key: bytes = field(repr=False)
    sealing_keys: tuple[SealingKey, ...]

    def sealing(self, now_unix: float) -> SealingKey:
        """The newest key that is already valid; the oldest one if none is, because clocks may be wrong."""
        return next((key for key in self.sealing_keys if key.seal_from <= now_unix), self.sealing_keys[-1])

    def opening(self, key_id: bytes) -> SealingKey | None:
        return next((key for key in self.sealing_keys if key.id == key_id), None)


FIXED_KEYRING: Final = Keyring(
    b"mintonce index key v1", (SealingKey.of(hashlib.sha256(b"mintonce: known to all, protects nothing").digest()),)
)
"""Used for a store on this machine without a key file. These keys are public and protect nothing."""


def parse_keyring(data: bytes) -> Keyring:
    """Raises KeyringError."""
    document = _document(data)
    if set(document) - {"index_key", "sealing_keys"}:
        raise KeyringError("the sealing keys file has unknown settings", remedy=_REMEDY)
    entries = document.get("sealing_keys")
    if not isinstance(entries, list) or not 0 < len(cast("list[object]", entries)) <= MAX_KEYS:
        raise KeyringError(f"the file must have 1 to {MAX_KEYS} tables [[sealing_keys]]", remedy=_REMEDY)
    keys = tuple(_sealing_key(entry) for entry in cast("list[object]", entries))
    if len({key.id for key in keys}) != len(keys):
        raise KeyringError("the file contains the same sealing key twice", remedy="Remove one of the two.")
    return Keyring(_key_bytes(document.get("index_key"), "index_key"), keys)


def same_index_key(before: Keyring, after: Keyring) -> None:
    """Raises KeyringError if they differ: no stored token could be found, and all would be minted again."""
    if before.index_key != after.index_key:
        raise KeyringError(
            "index_key has changed",
            remedy="Restore the old one: only sealing keys rotate. A new index_key needs a restart.",
        )


def new_keyring() -> str:
    """The text of a new sealing keys file."""
    return (
        "# Keys of Mintonce. Secret, so chmod 600. All replicas need the same file.\n"
        "# index_key names the keys in the store and never changes. [[sealing_keys]] seal the tokens, newest first:\n"
        "# `mintonced keygen --rotate FILE` adds a new one in front. Keep old ones until the\n"
        "# tokens that they sealed have expired.\n"
        f'index_key = "{_fresh()}"\n'
        "\n"
        "[[sealing_keys]]\n"
        f'key = "{_fresh()}"\n'
    )


def with_new_key(text: str, seal_from: float) -> str:
    """The text with a new key in front, which seals from that time on: until then every replica can get the file.

    Raises KeyringError if the file cannot be used.
    """
    parse_keyring(text.encode())
    head, rest = _FIRST_TABLE.split(text, maxsplit=1)
    moment = datetime.fromtimestamp(seal_from, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    changed = f'{head}[[sealing_keys]]\nkey = "{_fresh()}"\nseal_from = {moment}\n\n[[sealing_keys]]{rest}'
    parse_keyring(changed.encode())
    return changed


def _document(data: bytes) -> dict[str, Any]:
    try:
        return parse_toml(data)
    except NotToml as error:
        raise KeyringError("the sealing keys file is not TOML", remedy=_REMEDY) from error


def _sealing_key(entry: object) -> SealingKey:
    fields = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    if set(fields) - {"key", "seal_from"}:
        raise KeyringError("a table [[sealing_keys]] has unknown settings", remedy=_REMEDY)
    moment = fields.get("seal_from", datetime.fromtimestamp(0, UTC))
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise KeyringError("a seal_from is not a time with a time zone", remedy="Write it as 2026-01-31T12:00:00Z.")
    return SealingKey.of(_key_bytes(fields.get("key"), "key"), moment.timestamp())


def _key_bytes(value: object, name: str) -> bytes:
    try:
        key = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyringError(f"a {name} is not {KEY_BYTES} bytes in Base64", remedy=_REMEDY)
    return key


def _fresh() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def secrets_of(keyring: Keyring) -> Sequence[Secret]:
    """The keys as they are written in the file, for redaction in logs."""
    return [
        Secret(base64.b64encode(key).decode()) for key in (keyring.index_key, *(k.key for k in keyring.sealing_keys))
    ]
