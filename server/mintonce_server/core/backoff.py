"""When a failed mint is tried again, and which error callers get until then."""

import random
from typing import Final

from mintonce_server.core.errors import (
    IssuerError,
    IssuerMalformed,
    IssuerRefused,
    IssuerThrottled,
    IssuerUnavailable,
    Reason,
)
from mintonce_server.core.ports import Failure

FIRST: Final = 1.0
LONGEST: Final = 60.0
LONGEST_ASKED: Final = 300.0
"""Seconds: the longest pause that an issuer can ask for."""

_ERRORS: Final[dict[Reason, type[IssuerError]]] = {
    error.reason: error for error in (IssuerRefused, IssuerThrottled, IssuerUnavailable, IssuerMalformed)
}


def full_jitter(failures: int, rng: random.Random) -> float:
    """Seconds until the next try after `failures` in a row before: from 1 to a ceiling that doubles up to 60."""
    ceiling = min(LONGEST, FIRST * 2.0 ** min(failures, 10))
    return rng.uniform(FIRST, ceiling)


def failure_of(error: IssuerError, *, while_live: bool = False) -> Failure:
    """The part of an error that the fleet shares."""
    of_proof = error.reason is Reason.ISSUER_REFUSED
    return Failure(error.reason, error.issuer_error, while_live, of_proof, error.of_issuer, error.of_client)


def error_of(failure: Failure, seconds: float) -> IssuerError:
    """The error for calls during the back-off: the same at every replica."""
    code = f" ({failure.issuer_error})" if failure.issuer_error else ""
    error = _ERRORS.get(failure.reason, IssuerUnavailable)(
        f"a mint failed a moment ago: {failure.reason}{code}; the next try comes in {seconds:.1f} s",
        remedy="Look in the servers' logs for the last mint_failed event of this key, or of another key of its issuer: "
        "it says what to mend.",
        retry_after=seconds,
        issuer_error=failure.issuer_error,
    )
    error.of_client = failure.of_client
    return error


def trouble_of_issuer(failure: Failure, seconds: float) -> IssuerError:
    """The error for a key that made no POST: what another key learned holds for it, too."""
    error = error_of(failure, seconds)
    error.of_issuer = True
    return error
