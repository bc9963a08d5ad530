"""`python -m soak`, with tests/ on the path: what `make soak` runs."""

import sys

from soak.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
