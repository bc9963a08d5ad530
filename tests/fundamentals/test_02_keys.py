"""2. What one shared token is for: a key is (client, audience, scopes)."""

import itertools

from support.fleet import Fleet
from support.house import AUDIENCE, CLIENT
from support.surroundings import claims


async def test_scopes_in_any_order_are_the_same_key(fleet: Fleet) -> None:
    """Repetition does not matter either."""
    client = (await fleet.replica()).client
    tokens = [await client.get(CLIENT, AUDIENCE, scopes) for scopes in itertools.permutations(["a", "b", "c", "a"])]
    assert len({token.access_token for token in tokens}) == 1
    assert fleet.issuer.posts == 1


async def test_other_scopes_and_other_audiences_are_other_keys(fleet: Fleet) -> None:
    """No caller gets a token that was minted for another key: each POST was for exactly the requested one."""
    client = (await fleet.replica()).client
    asked = [(AUDIENCE, ()), (AUDIENCE, ("read",)), (AUDIENCE, ("read", "write")), ("https://other.example.com/", ())]
    for audience, scopes in asked:
        token = await client.get(CLIENT, audience, scopes)
        said = claims(token.access_token)
        assert (said["aud"], said.get("scope", "")) == (audience, " ".join(scopes))
    assert [(post.audience, post.scope) for post in fleet.issuer.log()] == [(a, " ".join(s)) for a, s in asked]


async def test_words_that_only_look_alike_when_joined_are_different_keys(fleet: Fleet) -> None:
    """Keys are never joined with a separator: each part stands behind its length."""
    client = (await fleet.replica()).client
    pairs: list[tuple[str, tuple[str, ...]]] = [("a", ("b", "c")), ("a", ("b,c",)), ("a,1:b", ("c",)), ("a:b", ("c",))]
    tokens = [await client.get(CLIENT, audience, scopes) for audience, scopes in pairs]
    assert len({token.access_token for token in tokens}) == len(pairs)
