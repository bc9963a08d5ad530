"""The names that keys have in the store and in logs, for tests that look from outside."""

from collections.abc import Mapping

from mintonce_server.app import identities_of
from mintonce_server.config import load
from mintonce_server.core.key import KeyHasher
from mintonce_server.store.keyring import FIXED_KEYRING


def hasher_of(settings: Mapping[str, str]) -> KeyHasher:
    """Names keys as a replica with these settings does, if it has no key file. Variables without their prefix."""
    loaded = load(None, {f"MINTONCE_{name}": value for name, value in settings.items()})
    return KeyHasher(FIXED_KEYRING.index_key, identities_of(loaded))
