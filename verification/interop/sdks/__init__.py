"""OAuth SDKs of other projects, unmodified, at the token endpoint of two replicas."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from interop.chosen import chosen
from interop.issuers.subject import NotHere
from interop.rows import Row
from interop.sdks.lab import set_up
from interop.sdks.subjects import SUBJECTS, Sdk
from interop.sdks.trials import TRIALS

FIRST: Final = "the fleet's token, 1 POST"


def run(only: Sequence[str]) -> Iterator[Row]:
    """The rows of these SDKs, or of all of them if none is named. Raises UnknownSubject."""
    here: list[Sdk] = []
    for sdk in chosen(SUBJECTS, only):
        try:
            _ = sdk.command
        except NotHere as error:
            yield Row(sdk.name, "", FIRST, "not run", str(error))
        else:
            here.append(sdk)
    if here:
        with asyncio.Runner() as runner:
            rows = _rows(here)
            while (row := runner.run(anext(rows, None))) is not None:
                yield row


async def _rows(sdks: Sequence[Sdk]) -> AsyncIterator[Row]:
    """One trial after the other. Who gets no token in the first is left out of the others."""
    async with set_up(sdks) as lab:
        for trial in TRIALS:
            failed: set[str] = set()
            async for row in trial(lab, sdks):
                failed |= {row.subject} if row.outcome != "works" else set()
                yield row
            if trial is TRIALS[0]:
                sdks = [sdk for sdk in sdks if sdk.name not in failed]
