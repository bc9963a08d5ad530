"""Two different requests never share a key."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.key import MAX_AUDIENCE, MAX_SCOPE, MAX_SCOPES, MAX_WORDS, KeyHasher, TokenKey

# Small alphabets with the separators of the canonical form in them: that is where two forms could meet.
CLIENTS = st.text("a1._-", min_size=1, max_size=4)
AUDIENCES = st.text("a1:,", max_size=6)
SCOPES = st.lists(st.text("a1:,", min_size=1, max_size=4), max_size=4)
KEYS = st.builds(TokenKey.of, CLIENTS, AUDIENCES, SCOPES)


@given(KEYS, KEYS)
def test_two_keys_have_the_same_form_only_if_they_are_the_same(one: TokenKey, two: TokenKey) -> None:
    """Whatever is in their names."""
    assert (one.canonical() == two.canonical()) == (one == two)


@given(KEYS, KEYS)
def test_two_keys_have_the_same_hash_only_if_they_are_the_same(one: TokenKey, two: TokenKey) -> None:
    """A clever name gives no caller another's token."""
    hasher = KeyHasher(b"an index key")
    assert (hasher(one) == hasher(two)) == (one == two)


def _read(canonical: bytes) -> list[str]:
    """What a reader makes of a canonical form, knowing only that each part stands behind its length."""
    parts: list[str] = []
    while canonical:
        length, _, rest = canonical.partition(b":")
        parts.append(rest[: int(length)].decode())
        canonical = rest[int(length) + 1 :]
    return parts


@given(KEYS)
def test_the_form_can_be_read_back(key: TokenKey) -> None:
    """So it has lost nothing."""
    assert _read(key.canonical()) == [key.client, key.audience, *key.scopes]


@given(CLIENTS, AUDIENCES, SCOPES, st.randoms())
def test_order_and_repetition_of_scopes_do_not_matter(
    client: str, audience: str, scopes: list[str], random: Random
) -> None:
    """They mean the same (RFC 6749, section 3.3)."""
    shuffled = scopes + scopes[:1]
    random.shuffle(shuffled)
    assert TokenKey.of(client, audience, shuffled) == TokenKey.of(client, audience, scopes)


@pytest.mark.parametrize(
    ("client", "audience", "scopes", "field"),
    [
        ("", "", (), "client"),
        ("a b", "", (), "client"),
        ("a" * 65, "", (), "client"),
        ("clïent", "", (), "client"),
        ("a\n", "", (), "client"),
        ("a", " space", (), "audience"),
        ("a", "space ", (), "audience"),
        ("a", "two  spaces", (), "audience"),
        ("a", " ".join(map(str, range(MAX_WORDS + 1))), (), "audience"),
        ("a", " ", (), "audience"),
        ("a", "no-break\u00a0space", (), "audience"),
        ("a", "right\u202eto left", (), "audience"),
        ("a", "\ud800", (), "audience"),
        ("a", "a" * (MAX_AUDIENCE + 1), (), "audience"),
        ("a", "line\n", (), "audience"),
        ("a", "", ("",), "scopes"),
        ("a", "", ("two words",), "scopes"),
        ("a", "", ('qu"ote',), "scopes"),
        ("a", "", ("back\\slash",), "scopes"),
        ("a", "", ("a" * (MAX_SCOPE + 1),), "scopes"),
        ("a", "", tuple(f"scope{number}" for number in range(MAX_SCOPES + 1)), "scopes"),
    ],
)
def test_what_is_malformed_is_refused_by_field(client: str, audience: str, scopes: tuple[str, ...], field: str) -> None:
    """And without its value, which may be a secret in the wrong place."""
    with pytest.raises(InvalidRequest, match=f"^{field} is malformed$") as caught:
        TokenKey.of(client, audience, scopes)
    assert field in caught.value.remedy


def test_a_hash_says_nothing_about_its_key() -> None:
    """It depends on the index key, and has 128 bits."""
    key = TokenKey.of("billing", "https://api.example.com/", ["orders"])
    assert KeyHasher(b"one")(key) != KeyHasher(b"another")(key)
    assert len(bytes.fromhex(KeyHasher(b"one")(key))) == 16


@given(KEYS, KEYS, st.text("a1:,", max_size=6), st.text("a1:,", max_size=6))
def test_a_key_of_another_identity_is_another_key(one: TokenKey, two: TokenKey, here: str, there: str) -> None:
    """A client that has moved to another tenant never meets the old one's tokens."""
    hashers = KeyHasher(b"key", {one.client: here}), KeyHasher(b"key", {two.client: there})
    assert (hashers[0](one) == hashers[1](two)) == ((one, here) == (two, there))


def test_other_clients_identities_do_not_matter() -> None:
    """Who adds or changes a client costs the others no mint."""
    key = TokenKey.of("billing", "https://api.example.com/")
    assert KeyHasher(b"key", {"billing": "x"})(key) == KeyHasher(b"key", {"billing": "x", "orders": "y"})(key)
