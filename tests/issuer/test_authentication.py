"""How a client authenticates."""

import base64
from collections.abc import Callable
from itertools import count
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core.secret import Secret
from mintonce_server.issuer import ClientCredentials
from mintonce_server.issuer.auth import ClientAuthentication, authentication
from mintonce_server.issuer.certificate import ClientCertificate
from mintonce_server.issuer.metadata import Metadata
from mintonce_server.issuer.signing import load_signing_key
from support.clocks import ManualClock
from support.endpoints import endpoint_options
from support.signing import pem, private_key

TEXT = st.text(st.characters(codec="utf-8"))
NUMBERS = count()
URL = "https://login.example.com/oauth/token"
METADATA = Metadata.of_url(URL)


def way(auth: str, credentials: ClientCredentials) -> ClientAuthentication:
    return authentication(endpoint_options(URL, auth=auth), credentials, ManualClock())


def basic(client_id: str, secret: str) -> str:
    (proof,) = way("client_secret_basic", ClientCredentials(client_id, Secret(secret))).proofs(METADATA)
    header = proof.headers["Authorization"]
    scheme, _, credentials = header.partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(credentials).decode("ascii")


def test_basic_encodes_before_it_joins() -> None:
    """RFC 6749, section 2.3.1: as in a form, in UTF-8. A space is %20, which all servers decode; some keep a +."""
    assert basic("a:b c", "p%+/=&ü") == "a%3Ab%20c:p%25%2B%2F%3D%26%C3%BC"


def test_basic_is_sent_raw_to_a_server_that_decodes_nothing() -> None:
    """`basic_encoding = "none"`: the secret as it is, in UTF-8."""
    options = endpoint_options(URL, auth="client_secret_basic", basic_encoding="none")
    way = authentication(options, ClientCredentials("an id", Secret("p%+:ü")), ManualClock())
    (proof,) = way.proofs(METADATA)
    assert base64.b64decode(proof.headers["Authorization"].removeprefix("Basic ")).decode() == "an id:p%+:ü"


@given(client_id=TEXT, secret=TEXT)
def test_basic_can_always_be_undone(client_id: str, secret: str) -> None:
    """A server that splits at the colon and decodes both parts gets back what went in."""
    left, _, right = basic(client_id, secret).partition(":")
    assert (unquote_plus(left), unquote_plus(right)) == (client_id, secret)


def test_post_sends_them_as_they_are() -> None:
    """The body's own encoding is enough."""
    (proof,) = way("client_secret_post", ClientCredentials("a:b", Secret("p%"))).proofs(METADATA)
    assert proof.parameters == {"client_id": "a:b", "client_secret": "p%"}
    assert proof.headers == {}


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
def test_the_secret_is_read_at_each_mint(method: str) -> None:
    """A rotated secret counts without a restart."""
    numbers = count()
    by_secret = way(method, ClientCredentials("id", lambda: Secret(f"s{next(numbers)}")))
    assert by_secret.proofs(METADATA) != by_secret.proofs(METADATA)


def test_an_unknown_method_is_named_with_the_known_ones() -> None:
    """A misspelt setting is easy to correct."""
    with pytest.raises(ValueError, match=r"'secret_basic' is not known.*client_secret_post, client_secret_basic"):
        way("secret_basic", ClientCredentials("id", Secret("s")))


@pytest.mark.parametrize(
    ("auth", "lacks"),
    [
        ("client_secret_post", "a client secret"),
        ("client_secret_basic", "a client secret"),
        ("private_key_jwt", "a signing key"),
        ("tls_client_auth", "a certificate"),
    ],
)
def test_what_a_method_needs_must_be_there(auth: str, lacks: str) -> None:
    """The error comes when the client is created, not at its first mint."""
    with pytest.raises(ValueError, match=f"auth '{auth}' needs {lacks}"):
        way(auth, ClientCredentials("id"))


def signing() -> ClientCredentials:
    """With a new key."""
    key = load_signing_key(pem(private_key("EdDSA")), "EdDSA")
    return ClientCredentials("id", signing_key=lambda: key)


def certified() -> ClientCredentials:
    """With a new certificate. Only its text counts here."""
    certificate = ClientCertificate(b"certificate %d" % next(NUMBERS), Secret("key"))
    return ClientCredentials("id", certificate=lambda: certificate)


def by_secret() -> ClientCredentials:
    """With a new secret."""
    return ClientCredentials("id", Secret(f"secret {next(NUMBERS)}"))


@pytest.mark.parametrize(
    ("auth", "new"),
    [
        ("client_secret_post", by_secret),
        ("client_secret_basic", by_secret),
        ("private_key_jwt", signing),
        ("tls_client_auth", certified),
    ],
)
def test_a_replaced_credential_has_another_fingerprint(auth: str, new: Callable[[], ClientCredentials]) -> None:
    """A credential always has the same one."""
    one, other = new(), new()
    assert way(auth, one).fingerprint() == way(auth, one).fingerprint()
    assert way(auth, one).fingerprint() != way(auth, other).fingerprint()


def test_the_order_of_two_secrets_makes_no_other_fingerprint() -> None:
    """Each replica knows by itself which of them worked last."""
    secrets = [Secret("one"), Secret("two")]
    there = way("client_secret_post", ClientCredentials("id", client_secrets=lambda: secrets))
    back = way("client_secret_post", ClientCredentials("id", client_secrets=lambda: secrets[::-1]))
    assert there.fingerprint() == back.fingerprint()
