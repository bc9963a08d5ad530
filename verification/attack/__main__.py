"""`python -m attack`, with tests/ on the path: what `make attack` runs."""

import sys

from attack.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
