"""Python's testee with a fault in its client: `python -m conformance.faults serves-past-the-end`."""

import asyncio
import sys

from conformance.faults.catalogue import FAULTS
from conformance.testees.python import run

if __name__ == "__main__":
    planted = FAULTS[sys.argv[1]]
    if planted is not None:
        planted.plant()
    asyncio.run(run())
