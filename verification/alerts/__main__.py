"""`python -m alerts`, with tests/ and tools/ on the path: what `make alerts` runs."""

import sys

from alerts.cli import main

if __name__ == "__main__":
    sys.exit(main())
