"""Which audiences a client's tokens may be for, and the order of several."""

import pytest

from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.errors import PermissionDenied
from mintonce_server.core.key import TokenKey
from support.clocks import ManualClock
from support.scripted_issuer import ScriptedIssuer

ISSUER = ScriptedIssuer(ManualClock())


def client(*audiences: str, several: bool) -> Clients:
    return Clients([OAuthClient("c", ISSUER, frozenset(audiences), has_several_audiences=several)])


def test_the_order_of_several_audiences_does_not_matter() -> None:
    """They share one token."""
    clients = client("*", several=True)
    assert clients.canonical(TokenKey.of("c", "b a b")) == TokenKey.of("c", "a b")


def test_the_words_of_one_name_keep_their_order() -> None:
    """Where a space is part of a name, and for a client that is not registered."""
    for clients in (client("*", several=False), Clients([])):
        assert clients.canonical(TokenKey.of("c", "b a")) == TokenKey.of("c", "b a")


def test_each_of_several_audiences_must_be_the_clients() -> None:
    """A name with a space is one name for other clients."""
    assert client("a", "b", several=True).for_key(TokenKey.of("c", "a b")).name == "c"
    with pytest.raises(PermissionDenied):
        client("a", "b", several=True).for_key(TokenKey.of("c", "a c"))
    with pytest.raises(PermissionDenied):
        client("a", "b", several=False).for_key(TokenKey.of("c", "a b"))
    assert client("a b", several=False).for_key(TokenKey.of("c", "a b")).name == "c"
