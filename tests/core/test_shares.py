"""Who holds most of something that several share."""

import random
from collections import Counter

import pytest

from mintonce_server.core.limits import Shares


def test_whatever_comes_and_goes_the_largest_owner_is_known() -> None:
    """And nothing is kept of owners that hold nothing any more."""
    chance, shares, owners = random.Random(7), Shares[int](), dict[int, str]()
    for number in range(3000):
        if owners and chance.random() < 0.5:
            gone = chance.choice(list(owners))
            shares.remove(gone)
            del owners[gone]
        else:
            owners[number] = f"owner-{chance.randrange(8)}"
            shares.add(number, owners[number])
        counts = Counter(owners.values())
        if counts:
            assert counts[shares.largest()] == max(counts.values())
            assert [shares.count(owner) for owner in counts] == list(counts.values())
        assert list(shares.all) == list(owners)
    for number in owners:
        shares.remove(number)
    assert not any((shares.all, shares._of, shares._with, shares._highest))


def test_what_is_not_there_is_not_missed() -> None:
    """An item may be taken out twice; an owner without any has no items."""
    shares = Shares[str]()
    shares.add("a", "me")
    shares.remove("a")
    shares.remove("a")
    assert shares.count("me") == 0
    with pytest.raises(KeyError):
        shares.largest()
