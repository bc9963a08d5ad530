"""`mintonced` that hears nothing from the fleet: `python deaf_server.py ARGUMENT…`. Else it is the product.

Whatever comes on the wake channel is lost, gaps included, and the replica does not know that.
"""

import sys
from pathlib import Path
from typing import Final

PROGRAM: Final = str(Path(__file__).resolve())


def main() -> int:
    """The exit code."""
    # This folder came first on the path, since it is this program's.
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).parent.resolve()]
    from mintonce_server.__main__ import main as mintonced
    from mintonce_server.core.reconcile import Reconciler

    Reconciler.notice = lambda self, wake: None  # type: ignore[method-assign] # what is to be lost is lost here
    return mintonced()


if __name__ == "__main__":
    sys.exit(main())
