"""OAuth servers of other projects, run on this machine, and how Mintonce mints at them."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from interop.chosen import chosen
from interop.issuers import authlib, glewlwyd, hydra, keycloak, node_oauth2_server, oidc_provider, spring
from interop.issuers.checks import CHECKS, outcome
from interop.issuers.lab import set_up
from interop.issuers.subject import NotHere, Subject
from interop.rows import Row

SUBJECTS: Final[Mapping[str, Subject]] = {
    module.SUBJECT.name: module.SUBJECT
    for module in (
        oidc_provider,
        node_oauth2_server,
        authlib,
        keycloak,
        spring,
        glewlwyd,
        hydra,
    )
}


def run(only: Sequence[str]) -> Iterator[Row]:
    """The rows of these servers, or of all of them if none is named. Raises UnknownSubject."""
    for subject in chosen(SUBJECTS, only):
        yield from asyncio.run(_rows(subject))


async def _rows(subject: Subject) -> list[Row]:
    try:
        async with set_up(subject) as lab:
            return [await outcome(lab, feature) for feature in CHECKS]
    except NotHere as error:
        return [Row(subject.name, "", next(iter(CHECKS)), "not run", str(error))]
    except Exception as error:  # noqa: BLE001 - it did not start, or not in time; the others are tried all the same
        return [Row(subject.name, "", next(iter(CHECKS)), "not run", f"{type(error).__name__}: {error}")]
