"""Tasks of Celery, over files. `tasks.py SECONDS` calls them and writes their answers."""

# It runs in an environment of its own, with packages that this one lacks:
# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import os
import sys
from pathlib import Path
from time import monotonic

from celery import Celery

FOLDER = Path(os.environ["INTEROP_FOLDER"])
for name in ("queue", "control", "results"):
    (FOLDER / name).mkdir(exist_ok=True)

app = Celery("tasks", broker="filesystem://", backend=f"file://{FOLDER / 'results'}")
app.conf.broker_transport_options = {
    "data_folder_in": str(FOLDER / "queue"),
    "data_folder_out": str(FOLDER / "queue"),
    "control_folder": str(FOLDER / "control"),
}

if __name__ != "__main__":
    from service import answer  # made in Celery's main process, before it forks

    @app.task(name="token")
    def token() -> str:
        """One line of JSON."""
        return answer()


def main(seconds: float) -> None:
    """Two calls at a time, so that both processes work."""
    give_up_at = monotonic() + seconds
    while monotonic() < give_up_at:
        for called in [app.send_task("token") for _ in range(2)]:
            sys.stdout.write(called.get(timeout=15) + "\n")


if __name__ == "__main__":
    main(float(sys.argv[1]))
