"""What all tables of the settings have in common."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from mintonce_server.config.types import Kind

File = Annotated[Path, Kind("file")]


class Part(BaseModel):
    """Frozen; knows all its keys."""

    # hide_input_in_errors: pydantic would print values, secrets among them.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
