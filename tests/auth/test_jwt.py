"""JWTs that callers show: verified here, by keys that the settings name."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jws

from mintonce_server.auth.identify import Identifier
from mintonce_server.auth.jwks import parse_jwks
from mintonce_server.auth.jwt import REMEMBERED, JwtIssuer
from mintonce_server.core.caller import CallerKind
from mintonce_server.core.errors import Unauthenticated
from support.clocks import ManualClock
from support.jwts import AUDIENCE, ISSUER, SUBJECT, Signer, claims, encoded, signed_with_public_key, unsigned

SIGNER, OTHER = Signer("one"), Signer("two")
CHEAP = Signer("one", "EdDSA")
NAME = f"jwt:k8s:{SUBJECT}"
CLOCK = ManualClock()
NOW = CLOCK.unix()


def identifier(
    clock: ManualClock = CLOCK,
    jwks: Callable[[], bytes] = SIGNER.jwks,
    algorithms: Any = ("RS256",),
    also: Callable[[JwtIssuer], None] = lambda _: None,
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
    also(issuer)
    return Identifier(frozenset(), [issuer], lambda: None, clock)


KNOWN = identifier()


def identify(token: str, known: Identifier = KNOWN) -> str:
    return known.identify(None, [f"Bearer {token}"]).name


def test_a_projected_service_account_token_names_its_account() -> None:
    """As Kubernetes makes it; its end is the caller's, plus the leeway."""
    caller = KNOWN.identify(None, [f"Bearer {SIGNER.token(claims(NOW))}"])

    assert (caller.name, caller.kind) == (NAME, CallerKind.JWT)
    assert caller.valid_until == NOW + 600 + 30


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
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
    "a kid that is a list": lambda: unsigned({"alg": "RS256", "kid": ["one"]}, claims(NOW), b"x"),
    "a kid that is an object": lambda: unsigned({"alg": "RS256", "kid": {}}, claims(NOW), b"x"),
    "an alg that is a list": lambda: unsigned({"alg": ["RS256"], "kid": "one"}, claims(NOW), b"x"),
    "a key in the header": lambda: OTHER.token(claims(NOW), kid="one", jwk=OTHER.key.as_dict(private=False)),
    "a URL of keys": lambda: OTHER.token(claims(NOW), kid="one", jku="https://evil.example.com/keys"),
    "a certificate in the header": lambda: SIGNER.token(claims(NOW), x5c=["AAAA"]),
    "crit": lambda: unsigned({"alg": "RS256", "kid": "one", "crit": ["exp"], "exp": 1}, claims(NOW), b"x"),
    "crit, signed": lambda: SIGNER.token(claims(NOW), crit=["typ"]),
    "the right key in the header": lambda: SIGNER.token(claims(NOW), jwk=SIGNER.key.as_dict(private=False)),
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
    "a beginning that is true": lambda: SIGNER.token(claims(NOW, nbf=True)),
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
    "a name twice": lambda: _signed(json.dumps(claims(NOW))[:-1] + f', "sub": "{SUBJECT}"}}'),
    "an audience twice": lambda: _signed('{"aud": "vault", ' + json.dumps(claims(NOW))[1:]),
    "a number that is none": lambda: _signed(json.dumps(claims(NOW, more=float("nan")))),
    "claims that are a list": lambda: _signed("[]"),
}


def _signed(payload: str) -> str:
    """With a good signature around whatever text."""
    return jws.serialize_compact({"alg": "RS256", "kid": "one"}, payload, SIGNER.key)


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


def test_clocks_may_differ_by_the_leeway() -> None:
    """Not more: see the tokens that are over, or not yet. And 0 is how some issuers say "no matter when"."""
    for changes in ({"exp": NOW - 29}, {"nbf": NOW + 29}, {"iat": NOW + 29}, {"nbf": 0}):
        assert identify(SIGNER.token(claims(NOW, **changes))) == NAME


def test_a_token_that_was_verified_is_over_when_it_is_over() -> None:
    """Though it is remembered."""
    clock = ManualClock()
    known, token = identifier(clock), SIGNER.token(claims(clock.unix(), exp=clock.unix() + 60))
    assert identify(token, known) == identify(token, known) == NAME

    clock.advance(91)
    with pytest.raises(Unauthenticated, match="expired"):
        identify(token, known)


def test_what_is_remembered_is_bounded() -> None:
    """By number: a caller may make a new token for each call."""
    verified: list[JwtIssuer] = []
    known = identifier(jwks=CHEAP.jwks, algorithms=("EdDSA",), also=verified.append)
    for number in range(REMEMBERED + 5):
        assert identify(CHEAP.token(claims(NOW, jti=str(number))), known)

    assert len(verified[0]._verified) == REMEMBERED


def test_unknown_parameters_of_the_header_do_not_matter() -> None:
    """RFC 7515, section 4: they are ignored."""
    assert identify(SIGNER.token(claims(NOW), x5t="abc", nonce="abc")) == NAME


def test_clusters_may_call_their_issuer_the_same() -> None:
    """As Kubernetes does by default. The keys tell which it is, and so the name."""

    def cluster(name: str, signer: Signer) -> JwtIssuer:
        keys = parse_jwks(signer.jwks())
        audiences = frozenset({AUDIENCE})
        return JwtIssuer(
            name=name, issuer=ISSUER, audiences=audiences, algorithms=["RS256"], keys=lambda: keys, leeway=30.0
        )

    # Same kid, too: nothing but the signature is left.
    east, west = Signer("one"), Signer("one")
    known = Identifier(frozenset(), [cluster("east", east), cluster("west", west)], lambda: None, CLOCK)

    assert identify(east.token(claims(NOW)), known) == f"jwt:east:{SUBJECT}"
    assert identify(west.token(claims(NOW)), known) == f"jwt:west:{SUBJECT}"
    with pytest.raises(Unauthenticated):
        identify(Signer("one").token(claims(NOW)), known)


def test_an_issuer_looks_at_the_name_itself() -> None:
    """For any caller: the name that led here was not verified."""
    issuers: list[JwtIssuer] = []
    identifier(also=issuers.append)
    with pytest.raises(Unauthenticated, match="another issuer"):
        issuers[0].caller(SIGNER.token(claims(NOW, iss="https://evil.example.com")), CLOCK)


@pytest.mark.parametrize("algorithm", ["HS256", "HS512", "none", "ES256K", "dir"])
def test_no_algorithm_can_be_set_by_which_a_public_key_is_a_secret(algorithm: str) -> None:
    """Not even if the settings let it pass."""
    with pytest.raises(ValueError, match="asymmetric"):
        identifier(algorithms=("RS256", algorithm))
