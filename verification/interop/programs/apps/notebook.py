"""Jupyter: `notebook.py SECONDS` runs a notebook in a real kernel and prints what its cells print."""

# It runs in an environment of its own, with packages that this one lacks:
# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import sys

import nbformat
from nbclient import NotebookClient

CELLS = (
    """
import asyncio, time
from service import AUDIENCE, CLIENT, answer, shown
from mintonce import AsyncTokenSource
""",
    """
own = await AsyncTokenSource.open(CLIENT, AUDIENCE)
print(shown(await own.get()))
""",
    """
give_up_at = time.monotonic() + SECONDS
while time.monotonic() < give_up_at:
    print(shown(await own.get()))
    print(answer())
    await asyncio.sleep(0.1)
""",
    "await own.aclose()",
)


def main(seconds: str) -> None:
    """Each cell is an execution of its own in the kernel's one loop."""
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(cell.replace("SECONDS", seconds)) for cell in CELLS]
    NotebookClient(book, timeout=600, kernel_name="python3").execute()
    for cell in book.cells:
        for output in cell.outputs:
            (sys.stderr if output.get("name") == "stderr" else sys.stdout).write(output.get("text", ""))


if __name__ == "__main__":
    main(sys.argv[1])
