"""`mintonce`: tokens from a shell."""

from mintonce.cli._main import main

__all__ = ["main"]
