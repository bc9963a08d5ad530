"""`python -m simulate`, with tests/ on the path: what `make simulate` runs."""

import sys

from simulate.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
