"""How a client proves itself."""

import base64
from itertools import count
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core.secret import Secret
from mintonce_server.issuer.authentication import METHODS, authentication

TEXT = st.text(st.characters(codec="utf-8"))


def basic(client_id: str, secret: str) -> str:
    header = authentication("client_secret_basic", client_id, lambda: Secret(secret)).prove().headers["Authorization"]
    scheme, _, credentials = header.partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(credentials).decode("ascii")


def test_basic_encodes_before_it_joins() -> None:
    """RFC 6749, section 2.3.1: as in a form, so a space is +, and + : % / = & are percent-encoded, in UTF-8."""
    assert basic("a:b c", "p%+/=&ü") == "a%3Ab+c:p%25%2B%2F%3D%26%C3%BC"


@given(client_id=TEXT, secret=TEXT)
def test_basic_can_always_be_undone(client_id: str, secret: str) -> None:
    """A server that splits at the colon and decodes both parts gets back what went in."""
    left, _, right = basic(client_id, secret).partition(":")
    assert (unquote_plus(left), unquote_plus(right)) == (client_id, secret)


def test_post_sends_them_as_they_are() -> None:
    """The body's own encoding is enough."""
    proof = authentication("client_secret_post", "a:b", lambda: Secret("p%")).prove()
    assert proof.parameters == {"client_id": "a:b", "client_secret": "p%"}
    assert proof.headers == {}


@pytest.mark.parametrize("method", METHODS)
def test_the_secret_is_asked_for_at_each_mint(method: str) -> None:
    """So that a rotated one counts without a restart."""
    numbers = count()
    way = authentication(method, "id", lambda: Secret(f"s{next(numbers)}"))
    assert way.prove() != way.prove()


def test_an_unknown_method_is_named_with_the_known_ones() -> None:
    """A misspelt setting should be mended at once."""
    with pytest.raises(ValueError, match=r"'secret_basic' is not known.*client_secret_post, client_secret_basic"):
        authentication("secret_basic", "id", lambda: Secret("s"))
