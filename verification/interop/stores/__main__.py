"""`PYTHONPATH=tests:verification python -m interop.stores [SERVER…]`: this part alone; its results are not kept."""

import sys

from interop.stores import run

if __name__ == "__main__":
    failed = False
    for row in run(sys.argv[1:]):
        said = ": ".join(filter(None, (f"{row.subject} {row.version}", row.feature, row.outcome, row.note)))
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()
        failed = failed or row.outcome == "fails"
    sys.exit(failed)
