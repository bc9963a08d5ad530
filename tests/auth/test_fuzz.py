"""Whatever callers send: who they are is known, or they are refused. Nothing else happens."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from joserfc import jws

from mintonce_server.auth.api_keys import PREFIX, ApiKeys, new_api_key, parse_api_keys
from mintonce_server.auth.identify import Identifier
from mintonce_server.auth.jwks import parse_jwks
from mintonce_server.auth.jwt import JwtIssuer
from mintonce_server.core.errors import Unauthenticated
from support.clocks import ManualClock
from support.jwts import AUDIENCE, ISSUER, SUBJECT, Signer, claims, encoded, unsigned

SIGNER, CLOCK = Signer("one", "ES256"), ManualClock()
NOW = CLOCK.unix()
KEYS = parse_jwks(SIGNER.jwks())
KNOWN = Identifier(
    frozenset({"prod.example.com"}),
    [
        JwtIssuer(
            name="k8s",
            issuer=ISSUER,
            audiences=frozenset({AUDIENCE}),
            algorithms=["ES256"],
            keys=lambda: KEYS,
            leeway=30.0,
        )
    ],
    lambda: API_KEYS,
    CLOCK,
)
API_KEYS: ApiKeys = parse_api_keys(f"[keys]\n{new_api_key('billing')[1]}".encode())

REMEDY = (
    "Send a client certificate or a JWT in `authorization` (scheme Bearer) or an API key in `authorization` "
    "(scheme Bearer)."
)
"""Our own words, which hypothesis finds in the code and may send."""

texts = st.text(st.characters(exclude_categories=()), max_size=200)  # lone surrogates, too
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.sampled_from([ISSUER, AUDIENCE, SUBJECT, NOW]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def refused(certificate: bytes | None, authorization: Sequence[str]) -> None:
    """And what they sent is not in the refusal."""
    with pytest.raises(Unauthenticated) as caught:
        KNOWN.identify(certificate, authorization)

    assert caught.value.remedy
    said = str(caught.value) + caught.value.remedy
    for sent in authorization:
        for part in sent.removeprefix("Bearer ").split("."):
            assert len(part) < 16 or part in REMEDY or part not in said


@example(["Bearer \ud800"], None)
@given(st.lists(texts | texts.map("Bearer {}".format), max_size=3), st.none() | st.binary(max_size=50))
def test_no_text_gets_in(authorization: list[str], certificate: bytes | None) -> None:
    """With whatever certificate."""
    refused(certificate, authorization)


@given(texts)
def test_no_text_is_an_api_key(text: str) -> None:
    """However it begins."""
    refused(None, [f"Bearer {PREFIX}{text}"])


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip", "x5c", "jwk"]), values))
def test_no_header_gets_in(header: Mapping[str, Any]) -> None:
    """Without a signature, whatever it says."""
    refused(None, ["Bearer " + unsigned({"alg": "ES256", "kid": "one", **header}, claims(NOW), b"x" * 64)])


@given(st.text("ABCDEFabcdef0189-_", max_size=40), st.binary(max_size=60), st.binary(max_size=70))
def test_no_parts_get_in(header: str, payload: bytes, signature: bytes) -> None:
    """Base64 or not, JSON or not."""
    refused(None, [f"Bearer {header}.{encoded(payload)}.{encoded(signature)}"])


@given(st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat"]), values)
def test_claims_of_any_type_are_right_or_refused(name: str, value: object) -> None:
    """Though an issuer that we trust has signed them."""
    signed = jws.serialize_compact({"alg": "ES256", "kid": "one"}, json.dumps({**claims(NOW), name: value}), SIGNER.key)
    assume(len(signed) < 8000)
    try:
        caller = KNOWN.identify(None, [f"Bearer {signed}"])
    except Unauthenticated:
        return
    assert caller.name == f"jwt:k8s:{value if name == 'sub' else SUBJECT}"
    assert caller.valid_until is not None
    assert caller.valid_until > NOW


@given(st.integers(0, 10_000), st.characters(codec="ascii"))
def test_no_changed_letter_gets_in(place: int, letter: str) -> None:
    """Each letter of a token is signed, or is the signature; but for bits that base64 does not use."""
    token = SIGNER.token(claims(NOW))
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    assume(letter != token[place] and place not in _ends(token))
    refused(None, [f"Bearer {changed}"])


def _ends(token: str) -> set[int]:
    parts = [len(part) for part in token.split(".")]
    return {sum(parts[: index + 1]) + index - 1 for index in range(3)}
