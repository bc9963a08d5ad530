"""API keys: long random texts, of which the server knows only hashes. And one identity for each call."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.auth.api_keys import ApiKeys, ApiKeysError, new_api_key, parse_api_keys
from mintonce_server.auth.identify import Identifier
from mintonce_server.core.errors import Unauthenticated
from support.certificates import NOW, Authority
from support.clocks import ManualClock

ID = "spiffe://prod.example.com/ns/pay"


def test_a_key_names_its_caller() -> None:
    """And its repr does not show it."""
    key, line = new_api_key("billing")
    keys = parse_api_keys(f"[keys]\n{line}\n".encode())

    assert keys.caller(key.reveal()).name == "key:billing"
    assert key.reveal() not in repr(key) + line


def test_two_keys_of_one_caller_count_while_one_is_changed() -> None:
    """So no call fails in between."""
    (old, old_line), (new, new_line) = new_api_key("billing"), new_api_key("billing")
    hashes = ", ".join(line.partition("= ")[2] for line in (old_line, new_line))
    keys = parse_api_keys(f"[keys]\nbilling = [{hashes}]\n".encode())

    assert keys.caller(old.reveal()) == keys.caller(new.reveal())


@given(st.text(max_size=200))
def test_no_other_text_is_a_key(text: str) -> None:
    """Nor the hash itself."""
    key, line = new_api_key("billing")
    keys = parse_api_keys(f"[keys]\n{line}\n".encode())

    for wrong in (text, line.partition('"sha256:')[2].rstrip('"'), key.reveal()[:-1], key.reveal() + "x"):
        with pytest.raises(Unauthenticated):
            keys.caller(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "keys = 1",
        "[key]\n",
        '[keys]\nbilling = "mok_in-clear"',
        '[keys]\nbilling = "sha256:abc"',
        '[keys]\n"with space" = "sha256:' + "0" * 64 + '"',
        '[keys]\na = "sha256:' + "0" * 64 + '"\nb = "sha256:' + "0" * 64 + '"',
        "[keys",
    ],
)
def test_a_broken_file_is_refused_without_what_is_in_it(text: str) -> None:
    """An operator may have written a key in clear into it."""
    with pytest.raises(ApiKeysError) as caught:
        parse_api_keys(text.encode())

    assert "mok_" not in str(caught.value)


@pytest.fixture
def known() -> tuple[Identifier, str]:
    """A server that takes certificates and API keys, and a key."""
    key, line = new_api_key("billing")
    keys = parse_api_keys(f"[keys]\n{line}\n".encode())
    clock = ManualClock(unix=NOW.timestamp())
    return Identifier(frozenset({"prod.example.com"}), [], lambda: keys, clock), key.reveal()


def test_what_is_said_goes_before_what_is_shown(known: tuple[Identifier, str], tmp_path: Path) -> None:
    """One identity: a bad bearer never falls back to the certificate."""
    identifier, key = known
    pem = Authority(tmp_path).caller(ID).pem

    assert identifier.identify(pem, []).name == ID
    assert identifier.identify(pem, [f"Bearer {key}"]).name == "key:billing"
    assert identifier.identify(None, [f"bearer {key}"]).name == "key:billing"
    for bad in (["Bearer mok_wrong"], ["Basic YTpi"], [f"Tokens {key}"], [""], [f"Bearer {key}", f"Bearer {key}"]):
        with pytest.raises(Unauthenticated):
            identifier.identify(pem, bad)


def test_a_caller_without_credentials_learns_what_to_send(known: tuple[Identifier, str]) -> None:
    """By the kinds that this server takes."""
    with pytest.raises(Unauthenticated) as caught:
        known[0].identify(None, [])

    assert "certificate or an API key" in caught.value.remedy


def test_an_empty_file_knows_no_caller() -> None:
    """Not everybody."""
    with pytest.raises(Unauthenticated):
        ApiKeys({}).caller("")
