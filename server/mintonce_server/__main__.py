"""`python -m mintonce_server` is `mintonced`."""

import sys

from mintonce_server.cli import main

sys.exit(main())
