"""The sealing keys file."""

import tomllib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.store.keyring import KeyringError, new_keyring, parse_keyring, same_index_key, with_new_key


def test_a_new_file_can_be_read() -> None:
    """It has an index key and one sealing key, never the same twice."""
    one, other = parse_keyring(new_keyring().encode()), parse_keyring(new_keyring().encode())

    assert len(one.sealing_keys) == 1
    assert one.index_key != other.index_key
    assert one.sealing_keys[0].id != other.sealing_keys[0].id


def test_a_rotation_puts_a_key_in_front_and_keeps_the_rest() -> None:
    """The index key stays, so that every record is found; the new key is used later."""
    text = new_keyring()
    before = parse_keyring(text.encode())
    after = parse_keyring(with_new_key(text, seal_from=2_000_000_000.0).encode())

    assert after.index_key == before.index_key
    assert after.sealing_keys[1:] == before.sealing_keys
    assert after.sealing(1_999_999_999.0) == before.sealing_keys[0]
    assert after.sealing(2_000_000_000.0) == after.sealing_keys[0]


def test_comments_survive_a_rotation() -> None:
    """They explain the file."""
    assert with_new_key(new_keyring(), 0.0).startswith("# Keys of Mintonce")


def test_another_index_key_is_refused_while_running() -> None:
    """No stored token could be found."""
    with pytest.raises(KeyringError, match="index_key has changed"):
        same_index_key(parse_keyring(new_keyring().encode()), parse_keyring(new_keyring().encode()))


BROKEN: dict[str, Callable[[str], str]] = {
    "a name that is none": lambda text: text.replace("index_key", "indexkey"),
    "a key too long": lambda text: text.replace('key = "', 'key = "AAAA'),
    "a table where a list is": lambda text: text.replace("\n[[sealing_keys]]", "\n[sealing_keys]"),
    "the same key twice": lambda text: text + "\n[[sealing_keys]]" + text.rpartition("[[sealing_keys]]")[2],
    "a time that is a text": lambda text: text + 'seal_from = "tomorrow"\n',
    "a time without a zone": lambda text: text + "seal_from = 2026-01-01T00:00:00\n",
    "one setting more": lambda text: text + "more = 1\n",
    "cut off": lambda text: text[:-3],
    "empty": lambda _: "",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_refused_without_its_keys(kind: str) -> None:
    """The error contains no byte of a key."""
    text = new_keyring()
    keys = [text.split('"')[1], text.split('"')[3]]

    with pytest.raises(KeyringError) as caught:
        parse_keyring(BROKEN[kind](text).encode())

    assert caught.value.remedy
    assert not any(key in str(caught.value) + repr(caught.value.__context__) for key in keys)


@given(st.binary(max_size=300))
def test_rubbish_is_refused(rubbish: bytes) -> None:
    """With one type of error."""
    with pytest.raises(KeyringError):
        parse_keyring(rubbish)


def test_the_file_is_toml() -> None:
    """So people can read it."""
    assert set(tomllib.loads(new_keyring())) == {"index_key", "sealing_keys"}
