"""Config files, and the smallest environment."""

from collections.abc import Callable
from pathlib import Path

import pytest

WriteConfig = Callable[[str], Path]


@pytest.fixture
def smallest() -> dict[str, str]:
    """What is enough to serve."""
    return {
        "MINTONCE_OAUTH_DOMAIN": "tenant.example.com",
        "MINTONCE_CLIENT_ID": "my-client-id",
        "MINTONCE_CLIENT_SECRET": "my-client-secret",
        "MINTONCE_REDIS_URL": "redis://127.0.0.1:6379/0",
    }


@pytest.fixture
def write_config(tmp_path: Path) -> WriteConfig:
    """Writes a config file that no other user can read."""

    def write(text: str) -> Path:
        path = tmp_path / "mintonce.toml"
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    return write
