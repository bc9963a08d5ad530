"""When a failed mint is tried again."""

import random

from mintonce_server.core.backoff import error_of, failure_of, full_jitter
from mintonce_server.core.errors import IssuerError, IssuerRefused, IssuerThrottled
from mintonce_server.core.ports import Failure


def test_the_first_failure_waits_a_second() -> None:
    """Enough to let a blip pass."""
    assert full_jitter(0, random.Random(1)) == 1.0


def test_later_failures_wait_anywhere_up_to_a_doubling_ceiling_of_60_seconds() -> None:
    """Full jitter: replicas that failed together do not come back together."""
    chance = random.Random(1)
    for failures, ceiling in ((1, 2.0), (3, 8.0), (5, 32.0), (6, 60.0), (1000, 60.0)):
        waits = [full_jitter(failures, chance) for _ in range(500)]
        assert min(waits) >= 1.0
        assert 0.9 * ceiling < max(waits) <= ceiling


def test_the_fleet_hears_the_same_error_as_the_one_who_minted() -> None:
    """A negative record keeps the reason, the issuer's own code, and whom it refused."""
    error = IssuerRefused("no", remedy="mend", retry_after=30.0, issuer_error="invalid_client")
    error.of_client = True
    heard = error_of(failure_of(error), 12.0)
    assert isinstance(heard, IssuerRefused)
    assert heard.issuer_error == "invalid_client"
    assert heard.of_client
    assert heard.retry_after == 12.0


def test_every_kind_of_issuer_error_survives_the_store() -> None:
    """And an unknown reason, from a later version, is an issuer's error all the same."""
    assert isinstance(error_of(Failure(IssuerThrottled.reason), 1.0), IssuerThrottled)
    assert isinstance(error_of(Failure(IssuerError.reason), 1.0), IssuerError)
