"""`python -m mintonce`: the same as `mintonce`."""

import sys

from mintonce.cli import main

sys.exit(main())
