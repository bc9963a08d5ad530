"""10. A client gets a new secret: its credential_version rises, and what the old secret got counts no more."""

import pytest

from mintonce import Refused
from support.fleet import Fleet


async def test_a_token_of_the_old_secret_is_replaced(fleet: Fleet) -> None:
    """Where the old secret was stolen, its tokens may have been as well."""
    old = await (await fleet.replica()).get()
    new = await (await fleet.replica(credential_version=2)).get()
    assert new.generation > old.generation
    assert fleet.issuer.posts == 2


async def test_replicas_that_still_have_the_old_secret_take_the_new_token(fleet: Fleet) -> None:
    """In a rolling update both run side by side; they do not mint against each other."""
    behind = await fleet.replica()
    await behind.get()
    new = await (await fleet.replica(credential_version=2)).get()
    assert (await (await fleet.replica()).get()).access_token == new.access_token
    assert fleet.issuer.posts == 2


async def test_a_refusal_of_the_old_secret_does_not_hold_up_the_new_one(fleet: Fleet) -> None:
    """The negative record is tied to the credentials that earned it."""
    with pytest.raises(Refused):
        await (await fleet.replica(secret="stale")).get()
    assert (await (await fleet.replica(credential_version=2)).get()).is_live
