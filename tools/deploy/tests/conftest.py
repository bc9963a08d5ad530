"""Helm, and no tests where it cannot be had: `make lint-deploy` then says so in its check `chart`."""

from pathlib import Path

import pytest

from deploy.programs import CannotBeHad, helm


@pytest.fixture(scope="session", autouse=True)
def program() -> Path:
    try:
        return helm()
    except CannotBeHad as why:
        pytest.skip(f"left out, because {why}")
