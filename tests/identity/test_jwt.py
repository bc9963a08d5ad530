"""JWTs that callers show: verified here, by keys that the settings name."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core.caller import CallerKind
from mintonce_server.core.errors import Unauthenticated
from mintonce_server.identity.api_keys import ApiKeys
from mintonce_server.identity.identify import Identifier
from mintonce_server.identity.jwks import JwksError, parse_jwks
from mintonce_server.identity.tokens import JwtIssuer
from support.clocks import ManualClock
from support.jwts import AUDIENCE, ISSUER, SUBJECT, Signer, claims, encoded, signed_with_public_key, unsigned

SIGNER, OTHER = Signer("one"), Signer("two")
NAME = f"jwt:k8s:{SUBJECT}"
CLOCK = ManualClock()
NOW = CLOCK.unix()


def identifier(
    clock: ManualClock = CLOCK, jwks: Callable[[], bytes] = SIGNER.jwks, algorithms: Any = ("RS256",)
) -> Identifier:
    parsed: dict[bytes, Any] = {}
    issuer = JwtIssuer(
        name="k8s",
        issuer=ISSUER,
        audiences=frozenset({AUDIENCE}),
        algorithms=algorithms,
        keys=lambda: parsed.setdefault(jwks(), parse_jwks(jwks())),
        leeway=30.0,
    )
    return Identifier(frozenset(), [issuer], lambda: None, clock)


KNOWN = identifier()


def identify(token: str, known: Identifier = KNOWN) -> str:
    return known.identify(None, [f"Bearer {token}"]).name


def test_a_projected_service_account_token_names_its_account() -> None:
    """As Kubernetes makes it; its end is the caller's, plus the leeway."""
    caller = KNOWN.identify(None, [f"Bearer {SIGNER.token(claims(NOW))}"])

    assert (caller.name, caller.kind) == (NAME, CallerKind.JWT)
    assert caller.valid_until == NOW + 600 + 30


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_algorithms_that_are_named_are_accepted(algorithm: str) -> None:
    """And only those."""
    signer = Signer("one", algorithm)
    token = signer.token(claims(NOW))

    assert identify(token, identifier(jwks=signer.jwks, algorithms=(algorithm,))) == NAME
    with pytest.raises(Unauthenticated):
        identify(token, identifier(jwks=signer.jwks, algorithms=("RS512",)))


BAD: dict[str, Callable[[], str]] = {
    "alg none": lambda: unsigned({"alg": "none"}, claims(NOW)),
    "alg none with a kid": lambda: unsigned({"alg": "none", "kid": "one"}, claims(NOW), b"x"),
    "alg None": lambda: unsigned({"alg": "None", "kid": "one"}, claims(NOW), b"x"),
    "no alg": lambda: unsigned({"kid": "one"}, claims(NOW), b"x"),
    "the public key as a secret": lambda: signed_with_public_key(SIGNER, claims(NOW)),
    "another's signature": lambda: OTHER.token(claims(NOW), kid="one"),
    "an unknown kid": lambda: OTHER.token(claims(NOW)),
    "a kid that is a path": lambda: SIGNER.token(claims(NOW), kid="../../one"),
    "a kid that is no text": lambda: unsigned({"alg": "RS256", "kid": 1}, claims(NOW), b"x"),
    "a key in the header": lambda: OTHER.token(claims(NOW), kid="one", jwk=OTHER.key.as_dict(private=False)),
    "a URL of keys": lambda: OTHER.token(claims(NOW), kid="one", jku="https://evil.example.com/keys"),
    "a certificate in the header": lambda: SIGNER.token(claims(NOW), x5c=["AAAA"]),
    "crit": lambda: unsigned({"alg": "RS256", "kid": "one", "crit": ["exp"], "exp": 1}, claims(NOW), b"x"),
    "another issuer": lambda: SIGNER.token(claims(NOW, iss="https://evil.example.com")),
    "an issuer with a slash more": lambda: SIGNER.token(claims(NOW, iss=ISSUER + "/")),
    "no issuer": lambda: SIGNER.token(claims(NOW, iss=None)),
    "another audience": lambda: SIGNER.token(claims(NOW, aud="vault")),
    "no audience": lambda: SIGNER.token(claims(NOW, aud=None)),
    "an audience that contains ours": lambda: SIGNER.token(claims(NOW, aud="mintonce-dev")),
    "an audience of another type": lambda: SIGNER.token(claims(NOW, aud={"mintonce": 1})),
    "over": lambda: SIGNER.token(claims(NOW, exp=NOW - 31)),
    "without end": lambda: SIGNER.token(claims(NOW, exp=None)),
    "an end that is a text": lambda: SIGNER.token(claims(NOW, exp=str(NOW + 600))),
    "an end that is true": lambda: SIGNER.token(claims(NOW, exp=True)),
    "an end beyond all times": lambda: SIGNER.token(claims(NOW, exp=1e300)),
    "not yet": lambda: SIGNER.token(claims(NOW, nbf=NOW + 60)),
    "issued in the future": lambda: SIGNER.token(claims(NOW, iat=NOW + 60)),
    "a beginning that is a text": lambda: SIGNER.token(claims(NOW, nbf="0")),
    "no subject": lambda: SIGNER.token(claims(NOW, sub=None)),
    "an empty subject": lambda: SIGNER.token(claims(NOW, sub="")),
    "a subject with a line break": lambda: SIGNER.token(claims(NOW, sub="a\nb")),
    "a subject with a space": lambda: SIGNER.token(claims(NOW, sub="a b")),
    "an endless subject": lambda: SIGNER.token(claims(NOW, sub="a" * 600)),
    "a subject that is a list": lambda: SIGNER.token(claims(NOW, sub=[SUBJECT])),
    "too large": lambda: SIGNER.token(claims(NOW, more="x" * 9000)),
    "encrypted": lambda: ".".join(["e30"] * 5),
    "claims that are no object": lambda: unsigned({"alg": "RS256", "kid": "one"}, claims(NOW)).replace(".", ".W10.", 1),
    "cut off": lambda: SIGNER.token(claims(NOW))[:-10],
    "changed": lambda: _with_claims(SIGNER.token(claims(NOW)), claims(NOW, sub="system:serviceaccount:pay:admin")),
    "a name twice": lambda: _with_text(
        SIGNER.token(claims(NOW)), json.dumps(claims(NOW))[:-1] + f', "iss": "{ISSUER}"}}'
    ),
}


def _with_claims(token: str, changed: dict[str, Any]) -> str:
    return _with_text(token, json.dumps(changed))


def _with_text(token: str, payload: str) -> str:
    header, _, signature = token.split(".")
    return ".".join((header, encoded(payload.encode()), signature))


@pytest.mark.parametrize("kind", BAD)
def test_a_forged_or_stale_token_is_refused(kind: str) -> None:
    """With a remedy, and without a part of the token in the text."""
    token = BAD[kind]()

    with pytest.raises(Unauthenticated) as caught:
        identify(token)

    assert caught.value.remedy
    longest = max(token.split("."), key=len)
    assert longest not in str(caught.value) + caught.value.remedy


def test_keys_rotate() -> None:
    """A new key counts at once; what an old one signed counts no more when it is gone, remembered or not."""
    current = [SIGNER.jwks()]
    known = identifier(jwks=lambda: current[0])
    old, new = SIGNER.token(claims(NOW)), OTHER.token(claims(NOW))
    assert identify(old, known) == NAME

    current[0] = SIGNER.jwks(OTHER)
    assert identify(old, known) == identify(new, known) == NAME
    current[0] = OTHER.jwks()
    assert identify(new, known) == NAME
    with pytest.raises(Unauthenticated):
        identify(old, known)


def test_without_kid_there_must_be_one_key() -> None:
    """Which of several is meant is not guessed."""
    token = SIGNER.token(claims(NOW), kid=None)

    assert identify(token) == NAME
    with pytest.raises(Unauthenticated):
        identify(token, identifier(jwks=lambda: SIGNER.jwks(OTHER)))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": []}',
        b'{"keys": [{"kty": "oct", "k": "AAAA"}]}',
        b'{"keys": [{"kty": "RSA"}]}',
        json.dumps({"keys": [SIGNER.key.as_dict(private=True)]}).encode(),
        SIGNER.jwks(SIGNER),
    ],
)
def test_a_set_of_keys_that_is_none_is_refused(document: bytes) -> None:
    """No shared secrets, no private keys, no name twice."""
    with pytest.raises(JwksError):
        parse_jwks(document)


@given(st.text(max_size=300))
def test_no_text_gets_in_or_breaks_anything(text: str) -> None:
    """Whatever is sent as a bearer."""
    with pytest.raises(Unauthenticated):
        identify(text)


@given(st.lists(st.text(max_size=40), max_size=3), st.none() | st.binary(max_size=50))
def test_no_combination_gets_in_or_breaks_anything(authorization: list[str], certificate: bytes | None) -> None:
    """Whatever is sent as authorization, with whatever certificate."""
    known = Identifier(frozenset({"prod.example.com"}), [], lambda: ApiKeys({}), CLOCK)
    with pytest.raises(Unauthenticated):
        known.identify(certificate, authorization)
