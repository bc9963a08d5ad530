"""multiprocessing: `pool.py METHOD SECONDS` prints what the main process and two others are served."""

# It runs in an environment of its own, with packages that this one lacks:
# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import multiprocessing
import sys
from time import monotonic, sleep

from service import answer, source


def work(seconds: float) -> list[str]:
    """Answers, ten in a second."""
    give_up_at, answers = monotonic() + seconds, list[str]()
    while monotonic() < give_up_at:
        answers.append(answer())
        sleep(0.1)
    return answers


if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        others = pool.map_async(work, [float(sys.argv[2])] * 2, chunksize=1)
        mine = work(float(sys.argv[2]))
        lines = [*mine, *(line for answers in others.get() for line in answers)]
        sys.stdout.write("\n".join(lines) + "\n")
        pool.close()
        pool.join()
    source.close()
