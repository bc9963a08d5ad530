"""Settings for tests: loading what must be faulty."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from mintonce_server.config import SettingsError, ValidationIssue, load

COMPLETE = """
[redis]
url = "redis://127.0.0.1:6379/0"

[issuers.acme]
token_url = "https://login.example.com/oauth/token"

[clients.billing]
issuer = "acme"
client_id = "billing-id"
client_secret = "billing-secret"
"""
"""A config file that has all that is needed."""


def issues_of(config: Path | None, environ: Mapping[str, str]) -> tuple[ValidationIssue, ...]:
    """What is wrong with settings that cannot be used."""
    with pytest.raises(SettingsError) as caught:
        load(config, environ)
    return caught.value.issues
