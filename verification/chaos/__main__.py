"""`python -m chaos`, with tests/ on the path: what `make chaos` runs."""

import sys

from chaos.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
