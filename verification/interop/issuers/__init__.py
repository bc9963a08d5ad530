"""OAuth servers of other projects, run on this machine, and how Mintonce mints at them."""

from collections.abc import Iterator, Sequence

from interop.rows import Row


def run(only: Sequence[str]) -> Iterator[Row]:
    """The rows of these servers, or of all of them if none is named."""
    yield from ()
