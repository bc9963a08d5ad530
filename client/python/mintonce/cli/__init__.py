"""`mintonce`: tokens from a shell."""

import os
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mintonce` and return its exit code. argparse itself exits with 2 when the arguments are wrong."""
    # gRPC's C core would write to stderr what we say better. It reads this when it is imported, so import it after.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from mintonce.cli._main import run

    return run(argv)
