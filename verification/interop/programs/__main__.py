"""`python -m interop.programs [--seconds N] [NAME …]`: these rows alone, without the table."""

import argparse
import sys

from interop.programs import SECONDS, run
from interop.programs.subjects import SUBJECTS


def main() -> int:
    """1 if something fails."""
    parser = argparse.ArgumentParser(prog="python -m interop.programs")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each program runs; default: 60")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SUBJECTS))
    arguments = parser.parse_args()
    failed = 0
    for row in run(arguments.names, arguments.seconds):
        sys.stdout.write(f"{row.subject} {row.version}: {row.feature}: {row.outcome} {row.note}".rstrip() + "\n")
        sys.stdout.flush()
        failed += row.outcome == "fails"
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
