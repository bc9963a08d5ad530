"""Text from outside: bounded, and nothing in it that a terminal would obey."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core.text import (
    MAX_GRANTED_AUDIENCES,
    MAX_GRANTED_SCOPES,
    MAX_TOKEN,
    are_granted,
    error_code,
    is_token,
    is_token_type,
    printable,
    visible,
)

HOSTILE = "x\x1b[2J\r\n\x00\x07\x9b\u202e\ud800\x7f"


@given(st.text(), st.integers(min_value=4, max_value=50))
def test_what_is_printable_is_so_and_has_a_bound(text: str, limit: int) -> None:
    """Whatever comes in."""
    shown, seen = printable(text, limit), visible(text, limit)
    assert shown.isascii()
    for each in (shown, seen):
        assert each.isprintable()
        assert len(each) <= limit


def test_what_a_terminal_would_obey_is_escaped_and_the_rest_stays() -> None:
    """Also letters that are not ASCII, where terminals are meant."""
    assert printable("a é", 20) == "a \\xe9"
    assert visible("a é…") == "a é…"
    assert visible(HOSTILE) == "x\\x1b[2J\\r\\n\\x00\\x07\\x9b\\u202e\\ud800\\x7f"
    assert visible("abcdef", 5) == "ab..."
    assert visible("abcde", 5) == "abcde"


@pytest.mark.parametrize("code", ["invalid_client", "x", "a_" * 31])
def test_a_clean_error_code_is_kept(code: str) -> None:
    """As RFC 6749 registers them."""
    assert error_code(code) == code


@pytest.mark.parametrize("code", ["", "Invalid", "a b", "x\n", "a" * 65, "x\x1b", "_x", "é", "sk_live_1"])
def test_any_other_is_left_out(code: str) -> None:
    """It may be a secret, or written for a terminal."""
    assert error_code(code) == ""


def test_what_a_token_may_look_like() -> None:
    """Nothing that ends a header, or a line."""
    assert is_token("a" * MAX_TOKEN)
    assert is_token("eyJ.a-_~+/=")
    assert is_token_type("Bearer")
    for bad in ("", "a b", "a\n", "a\x1b", "é", "a" * (MAX_TOKEN + 1)):
        assert not is_token(bad)
        assert not is_token_type(bad)
    assert not is_token_type("Bearer,")


def test_what_may_have_been_granted() -> None:
    """So many names, so long."""
    assert are_granted(["a"] * MAX_GRANTED_SCOPES, ["", "two words"] * (MAX_GRANTED_AUDIENCES // 2))
    for scopes in (["a"] * (MAX_GRANTED_SCOPES + 1), ["a b"], ["a\n"], ["\x1b"], [""], ["a" * 257]):
        assert not are_granted(scopes, [])
    for audiences in (["a"] * (MAX_GRANTED_AUDIENCES + 1), ["\x1b"], ["a" * 1025]):
        assert not are_granted([], audiences)
