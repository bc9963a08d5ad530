"""What a client signs, and with which keys."""

import json
import traceback

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from joserfc import jws
from joserfc.jwk import ECKey

from mintonce_server.issuer import THUMBPRINT, ClientCredentials, load_signing_key
from mintonce_server.issuer.auth import authentication
from mintonce_server.issuer.metadata import Metadata
from support.clocks import ManualClock
from support.endpoints import endpoint_options
from support.signing import PrivateKey, jwk, pem, private_key

URL = "https://login.example.com/oauth/token"
EC = private_key("ES256")


def claims(assertion: str) -> tuple[dict[str, object], dict[str, object]]:
    verified = jws.deserialize_compact(assertion, ECKey.import_key(pem(EC)), algorithms=["ES256"])
    return dict(verified.headers()), json.loads(verified.payload or b"")


def test_an_assertion_says_no_more_than_it_has_to() -> None:
    """RFC 7523, section 3: for this issuer only, for one minute."""
    header, says = claims(load_signing_key(pem(EC), "ES256").assertion("the-id", URL, 1_800_000_000.9))
    assert header == {"typ": "JWT", "alg": "ES256"}
    assert len(str(says.pop("jti"))) == 32
    assert says == {
        "iss": "the-id", "sub": "the-id", "aud": URL, "iat": 1_800_000_000, "exp": 1_800_000_060,
    }  # fmt: skip


def test_each_assertion_has_a_jti_of_its_own() -> None:
    """Issuers accept none twice (RFC 7523, section 3, rule 7)."""
    key = load_signing_key(pem(EC), "ES256")
    ids = {claims(key.assertion("the-id", URL, 1e9))[1]["jti"] for _ in range(50)}
    assert len(ids) == 50


def test_the_body_carries_the_assertion_and_the_wall_clocks_time() -> None:
    """With the client_id, by which some issuers look up the client (RFC 7521, section 4.2)."""
    clock = ManualClock(unix=1_900_000_000)
    credentials = ClientCredentials("the-id", signing_key=lambda: load_signing_key(pem(EC), "ES256"))
    (proof,) = authentication(endpoint_options(URL, auth="private_key_jwt"), credentials, clock).proofs(
        Metadata.of_url(URL)
    )
    assert not proof.headers
    assert proof.parameters.keys() == {"client_id", "client_assertion_type", "client_assertion"}
    assert proof.parameters["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    says = claims(proof.parameters["client_assertion"])[1]
    assert (says["aud"], says["iat"]) == (URL, 1_900_000_000)


def test_the_key_id_is_what_was_said_or_the_thumbprint_or_the_jwks_own() -> None:
    """None if there is no setting: many issuers have one key for a client."""
    thumbprint = ECKey.import_key(pem(EC)).thumbprint()
    as_jwk = json.dumps(jwk(EC, private=True) | {"kid": "own"}).encode()
    keys = [
        load_signing_key(pem(EC), "ES256"),
        load_signing_key(pem(EC), "ES256", "mine"),
        load_signing_key(pem(EC), "ES256", THUMBPRINT),
        load_signing_key(as_jwk, "ES256"),
        load_signing_key(as_jwk, "ES256", "mine"),
    ]
    named = [claims(key.assertion("i", URL, 1e9))[0].get("kid") for key in keys]
    assert named == [None, "mine", thumbprint, "own", "mine"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "ES512", "EdDSA"])
@pytest.mark.parametrize("form", ["PEM", "JWK"])
def test_the_algorithm_follows_from_the_key(algorithm: str, form: str) -> None:
    """Unless a setting says another one that the key can do."""
    key = private_key(algorithm)
    data = pem(key) if form == "PEM" else json.dumps(jwk(key, private=True)).encode()
    assert load_signing_key(data).algorithm == algorithm
    assert load_signing_key(data, algorithm).algorithm == algorithm


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_a_curve_has_one_algorithm(algorithm: str) -> None:
    """RFC 7518, section 3.4."""
    data = pem(private_key(algorithm))
    for other in {"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"} - {algorithm}:
        with pytest.raises(ValueError, match=f"{other} needs"):
            load_signing_key(data, other)


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256K1()), rsa.generate_private_key(65537, 1024)])
def test_a_key_that_no_algorithm_signs_with_is_refused(key: PrivateKey) -> None:
    """With what would do."""
    with pytest.raises(ValueError, match="no algorithm signs with this key: use an RSA key of at least 2048 bits"):
        load_signing_key(pem(key))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_jwk_is_as_good_as_a_pem_key(algorithm: str) -> None:
    """Some issuers provide the one, some the other."""
    as_jwk = json.dumps(jwk(private_key(algorithm), private=True)).encode()
    assert load_signing_key(as_jwk, algorithm).assertion("i", URL, 1e9).count(".") == 2


CANARY = b"c4naryc4nary"
ENCRYPTED = EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
PUBLIC = json.dumps(jwk(EC)).encode()


@pytest.mark.parametrize(
    ("data", "algorithm", "why"),
    [
        (b"", "ES256", "neither"),
        (CANARY, "ES256", "neither"),
        (pem(EC).replace(b"\n", b"\n" + CANARY, 1), "ES256", "neither"),
        (b'{"kty":"EC","d":"' + CANARY + b'"}', "ES256", "neither"),
        (b'{"kty":"oct","k":"' + CANARY + b'"}', "ES256", "neither"),
        (b'{"kty":' * 100_000, "ES256", "neither"),
        (ENCRYPTED, "ES256", "without a password"),
        (PUBLIC, "ES256", "a private JWK"),
        (pem(EC), "HS256", "'HS256' is not known: use one of RS256, PS256, RS384"),
        (pem(EC), "none", "not known"),
        (pem(EC), "RS256", "RS256 needs an RSA key of at least 2048 bits"),
        (pem(EC), "EdDSA", "EdDSA needs an Ed25519 key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "ES256", "P-256"),
        (pem(private_key("EdDSA")), "ES256", "P-256"),
        (pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "PS256", "2048"),
    ],
    ids=["empty", "text", "broken", "bad jwk", "symmetric", "deep", "encrypted", "public", "HS", "none", "EC for RSA",
         "EC for EdDSA", "P-384", "EdDSA for ES", "short RSA"],
)  # fmt: skip
def test_a_key_that_cannot_do_is_refused_without_a_byte_of_it(data: bytes, algorithm: str, why: str) -> None:
    """The text is readable; the libraries' errors, which may quote the key, are not its context."""
    with pytest.raises(ValueError, match=why) as caught:
        load_signing_key(data, algorithm)
    assert caught.value.__context__ is None
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY.decode() not in shown


def test_a_signing_key_prints_nothing_of_itself() -> None:
    """Its algorithm and id, for logs."""
    shown = repr(load_signing_key(pem(EC), "ES256", "mine"))
    assert shown == "SigningKey(algorithm='ES256', key_id='mine', is_fixed=True, certificate={})"
