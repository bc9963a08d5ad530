"""multiprocessing: `pool.py METHOD SECONDS` prints what the main process and two others are served."""

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
        print(*work(float(sys.argv[2])), sep="\n")
        print(*(line for answers in others.get() for line in answers), sep="\n", flush=True)
        pool.close()
        pool.join()
    source.close()
