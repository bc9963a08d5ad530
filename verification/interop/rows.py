"""One result: how one feature went with one subject."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Row:
    """A feature of a subject (an issuer, a program, a store) and its outcome.

    "works": as it should. "refused": the subject does not offer it, and says so. "fails": it should work and does not.
    "not run": it could not be tried here; the note says why.
    """

    subject: str
    version: str
    feature: str
    outcome: Literal["works", "refused", "fails", "not run"]
    note: str = ""
