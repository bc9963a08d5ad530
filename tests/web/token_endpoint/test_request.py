"""What a token request says (RFC 6749, section 4.4.2), whatever its bytes are."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mintonce_server.web.token_endpoint.request import (
    CHANGING,
    JWT_BEARER,
    MAX_PARAMETERS,
    OWN,
    Asked,
    BadRequest,
    Head,
    audience_of,
    read_request,
    require_client,
    require_grant,
    scopes_of,
)

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
KEY: Final = "mok_billing_key"
ASSERTION: Final = {"client_assertion": "a.b.c", "client_assertion_type": JWT_BEARER}

texts = st.text(st.characters(exclude_categories=()), max_size=40)  # lone surrogates, too
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(sorted(OWN) + list(CHANGING)) | st.text(max_size=10)


def head(*authorizations: str, kind: str = FORM, query: str = "", dpop: bool = False) -> Head:
    return Head([kind], authorizations, query, dpop)


def of_form(parameters: Mapping[str, str] | list[tuple[str, str]], *authorizations: str) -> Asked:
    return read_request(head(*authorizations), urlencode(parameters).encode())


def of_json(parameters: object, *authorizations: str) -> Asked:
    return read_request(head(*authorizations, kind=JSON), json.dumps(parameters).encode())


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def proof_of(asked: Asked) -> str | None:
    return asked.proof.reveal() if asked.proof else None


def outcome(head: Head, body: bytes) -> Asked | BadRequest:
    """Of all that is read of a request."""
    try:
        asked = read_request(head, body)
        audience_of(asked)
        scopes_of(asked)
        require_grant(asked)
        require_client(asked)
    except BadRequest as error:
        return error
    return asked


def code_of(head: Head, body: bytes) -> tuple[int, str]:
    with pytest.raises(BadRequest) as caught:
        read_request(head, body)
    return caught.value.status, caught.value.error


@pytest.mark.parametrize("of", [of_form, of_json])
def test_a_form_and_an_object_say_the_same(of: Any) -> None:
    """As different libraries send them."""
    asked = of({"grant_type": "client_credentials", "client_id": "billing", "audience": "https://x/é", "scope": "b a"})
    assert (asked.client, asked.proof) == ("billing", None)
    assert audience_of(asked) == "https://x/é"
    assert scopes_of(asked) == ("b", "a")
    require_grant(asked)
    assert require_client(asked) == "billing"


@pytest.mark.parametrize(
    ("parameters", "authorization"),
    [
        ({"client_id": "billing", "client_secret": KEY}, ""),
        ({"client_id": "billing"}, f"Bearer {KEY}"),
        ({"client_id": "billing"}, f"bearer  {KEY}"),
        ({}, basic("billing", KEY)),
        ({"client_id": "billing"}, basic("billing", KEY)),
        ({"client_id": "billing", "client_assertion": KEY, "client_assertion_type": JWT_BEARER}, ""),
    ],
    ids=["body", "Bearer", "bearer", "Basic", "Basic and its name", "assertion"],
)
@pytest.mark.parametrize("of", [of_form, of_json])
def test_a_proof_may_stand_in_each_of_its_places(of: Any, parameters: Mapping[str, str], authorization: str) -> None:
    """The rest of the server sees no difference. Its repr does not show it."""
    asked = of(parameters, authorization) if authorization else of(parameters)
    assert (asked.client, proof_of(asked)) == ("billing", KEY)
    assert KEY not in repr(asked)


@given(st.text(max_size=20), st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40))
@example("my client", "a%2Bb+c:d")
def test_basic_is_read_as_encoded(user: str, password: str) -> None:
    """RFC 6749, section 2.3.1: each half is form-encoded before both are joined."""
    asked = of_form({}, basic(quote_plus(user), quote_plus(password)))
    assert (asked.client, proof_of(asked)) == (user, password)


@given(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True), st.from_regex(r"[A-Za-z0-9._~-]{1,64}", fullmatch=True))
def test_basic_that_is_not_encoded_is_read_all_the_same(user: str, password: str) -> None:
    """There are libraries that do not encode. Names, API keys and JWTs have neither % nor +."""
    asked = of_form({}, basic(user, password))
    assert (asked.client, proof_of(asked)) == (user, password)


@pytest.mark.parametrize(
    ("parameters", "authorizations"),
    [
        ({"client_secret": KEY, **ASSERTION}, ()),
        ({"client_secret": KEY}, (f"Bearer {KEY}",)),
        ({"client_secret": KEY}, (basic("billing", KEY),)),
        (ASSERTION, (f"Bearer {KEY}",)),
        (ASSERTION, (basic("billing", KEY),)),
        ({}, (f"Bearer {KEY}", f"Bearer {KEY}")),
        ({}, (basic("billing", KEY), f"Bearer {KEY}")),
        ({}, (basic("billing", ""), f"Bearer {KEY}")),
    ],
)
def test_two_proofs_are_refused_even_if_they_agree(parameters: dict[str, str], authorizations: tuple[str, ...]) -> None:
    """RFC 6749, section 2.3: a client must not use more than one. Which one counts could be read in two ways."""
    body = urlencode({"client_id": "billing", **parameters}).encode()
    assert code_of(head(*authorizations), body) == (400, "invalid_request")


def test_an_empty_proof_is_none() -> None:
    """As an empty parameter is one that was left out (RFC 6749, section 3.2)."""
    assert of_form({"client_id": "billing", "client_secret": ""}).proof is None
    assert of_form({}, basic("billing", "")).proof is None
    assert proof_of(of_form({"client_secret": KEY}, basic("billing", ""))) == KEY
    assert proof_of(of_form({"client_id": "billing", "client_secret": KEY, "client_assertion": ""})) == KEY


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Basic " + base64.b64encode(b"billing:x").decode().rstrip("=") + "=x",
        "Bearer",
        "Digest username=x",
        "DPoP abc",
        "",
        "\udcff",
    ],
)
def test_another_authorization_is_refused(authorization: str) -> None:
    """It said something that nobody here understands: the request is not served without it."""
    assert code_of(head(authorization), b"client_id=billing") == (400, "invalid_request")


@pytest.mark.parametrize("proof", ["with blank", "tab\t", "é", "\x00", "a\nb", "\u200b", "\ud800"])
@pytest.mark.parametrize("name", ["client_secret", "client_assertion"])
def test_a_proof_of_other_characters_is_refused(name: str, proof: str) -> None:
    """No API key or JWT has them, and no header could carry them on."""
    sent = {"client_id": "billing", "client_assertion_type": JWT_BEARER, name: proof}
    assert code_of(head(kind=JSON), json.dumps(sent).encode()) == (400, "invalid_request")


def test_basic_and_client_id_must_agree() -> None:
    """Otherwise it could be read in two ways whose request it is."""
    assert code_of(head(basic("billing", KEY)), b"client_id=cart") == (400, "invalid_request")
    assert of_form({"client_id": "billing"}, basic("", KEY)).client == "billing"


@pytest.mark.parametrize("kind", [None, "", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"])
def test_an_assertion_needs_its_type(kind: str | None) -> None:
    """RFC 7521, section 4.2."""
    sent = {"client_assertion": "a.b.c"} | ({} if kind is None else {"client_assertion_type": kind})
    assert code_of(head(), urlencode(sent).encode()) == (400, "invalid_request")


@pytest.mark.parametrize(
    "kinds", [[], [""], ["text/plain"], ["multipart/form-data"], [FORM, FORM], [FORM, JSON], ["application/jso"]]
)
def test_another_content_type_is_refused(kinds: list[str]) -> None:
    """Two of them, too: which one counts could be read in two ways."""
    assert code_of(Head(kinds, []), b"{}") == (415, "invalid_request")


@pytest.mark.parametrize("kind", [f"{FORM};charset=UTF-8", f"{FORM.upper()} ; x=y", "application/json; charset=utf-8"])
def test_parameters_of_the_content_type_change_nothing(kind: str) -> None:
    """The charset is UTF-8, whatever it says."""
    body = b'{"client_id": "billing"}' if "json" in kind else b"client_id=billing"
    assert read_request(head(kind=kind), body).client == "billing"


@pytest.mark.parametrize("name", sorted(OWN))
@pytest.mark.parametrize("second", ["a", "b", ""])
def test_a_parameter_twice_is_refused(name: str, second: str) -> None:
    """RFC 6749, section 3.2. An empty one counts as well."""
    error = "invalid_target" if name == "resource" else "invalid_request"
    assert code_of(head(), urlencode([(name, "a"), (name, second)]).encode()) == (400, error)
    body = f'{{"{name}": "a", "{name}": "{second}"}}'.encode()
    assert code_of(head(kind=JSON), body) == (400, "invalid_request")


@pytest.mark.parametrize("name", CHANGING)
def test_what_would_make_it_another_token_is_refused(name: str) -> None:
    """Ignored, it would hand out a token other than the one asked for. An empty one behind it hides nothing."""
    assert code_of(head(), f"client_id=billing&{name}=acme".encode()) == (400, "invalid_request")
    assert code_of(head(), f"client_id=billing&{name}=acme&{name}=".encode()) == (400, "invalid_request")
    assert code_of(head(kind=JSON), json.dumps({name: ["acme"]}).encode()) == (400, "invalid_request")
    assert of_form({"client_id": "billing", name: ""}).client == "billing"


def test_a_bound_token_is_refused() -> None:
    """DPoP (RFC 9449): a token that is bound to one caller's key cannot be shared."""
    assert code_of(head(dpop=True), b"client_id=billing") == (400, "invalid_request")


def test_unknown_parameters_are_ignored() -> None:
    """RFC 6749, section 3.2. Even twice, and of any kind in an object: MSAL sends eight."""
    assert of_form([("client_id", "billing"), ("x-client-sku", "1"), ("x-client-sku", "2")]).client == "billing"
    assert of_json({"client_id": "billing", "claims": {"a": [1]}, "n": 1e300}).client == "billing"


@pytest.mark.parametrize("query", ["client_id=billing", "a=b&client_secret=x", "client%5Fsecret=x", "scope", "token="])
def test_parameters_in_the_url_are_refused(query: str) -> None:
    """Proxies log URLs."""
    assert code_of(head(query=query), b"client_id=billing") == (400, "invalid_request")


def test_other_names_in_the_url_are_ignored() -> None:
    """MSAL for Node puts an id of its own there."""
    assert read_request(head(query="client-request-id=1&x"), b"client_id=billing").client == "billing"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FORM, "client_id=billing&audience=é".encode()),
        (FORM, b"client_id=%ff"),
        (FORM, b"audience=%ed%a0%80"),
        (FORM, b"&".join(b"a%d=1" % number for number in range(MAX_PARAMETERS + 1))),
        (JSON, json.dumps({f"a{number}": 1 for number in range(MAX_PARAMETERS + 1)}).encode()),
        (JSON, b""),
        (JSON, b"[]"),
        (JSON, b'"client_id"'),
        (JSON, b"{"),
        (JSON, b'{"client_id": "billing"}{}'),
        (JSON, b'{"client_id": NaN}'),
        (JSON, b'{"client_id": Infinity}'),
        (JSON, b"[" * 16_000),
        (JSON, b'{"a":' * 3000 + b"1" + b"}" * 3000),
        (JSON, b'{"a": ' + b"1" * 5000 + b"}"),
        (JSON, b"\xff\xfe"),
        (JSON, b'{"client_id": 1}'),
        (JSON, b'{"client_id": 1e999}'),
        (JSON, b'{"client_id": ["billing"]}'),
        (JSON, b'{"client_id": {"a": 1}}'),
        (JSON, b'{"client_id": true}'),
        (JSON, b'{"scope": ["a", 1]}'),
        (JSON, b'{"scope": {"a": "b"}}'),
        (JSON, b'{"audience": ["a"]}'),
    ],
)
def test_another_body_is_refused(kind: str, body: bytes) -> None:
    """Deep, huge, in another charset, or of other types."""
    assert code_of(head(kind=kind), body) == (400, "invalid_request")


def test_as_many_parameters_as_are_allowed_are_read() -> None:
    """So that the limit is where it is said to be."""
    more = {f"a{number}": "1" for number in range(MAX_PARAMETERS - 1)}
    assert of_form({"client_id": "billing", **more}).client == "billing"
    assert of_json({"client_id": "billing", **more}).client == "billing"


def test_null_and_an_empty_text_are_left_out() -> None:
    """RFC 6749, section 3.2."""
    asked = of_json({"client_id": "billing", "audience": None, "scope": "", "resource": ""})
    assert (audience_of(asked), scopes_of(asked)) == (None, ())
    assert audience_of(of_form({"audience": ""})) is None


def test_scopes_may_be_a_list_in_an_object() -> None:
    """In the order in which they came. Only blanks separate them: other spaces are for the next check to refuse."""
    assert scopes_of(of_json({"scope": ["b", "a c"]})) == ("b", "a", "c")
    assert scopes_of(of_form({"scope": " b  a "})) == ("b", "a")
    assert scopes_of(of_form({"scope": "a\tb\u2003c"})) == ("a\tb\u2003c",)


def test_resource_is_another_name_of_audience() -> None:
    """RFC 8707. Both are fine if they agree."""
    assert audience_of(of_form({"resource": "https://x"})) == "https://x"
    assert audience_of(of_form({"resource": "https://x", "audience": "https://x"})) == "https://x"
    with pytest.raises(BadRequest) as caught:
        audience_of(of_form({"resource": "https://x", "audience": "https://y"}))
    assert caught.value.error == "invalid_target"


@pytest.mark.parametrize(("grant", "error"), [("", "invalid_request"), ("password", "unsupported_grant_type")])
def test_another_grant_is_refused(grant: str, error: str) -> None:
    """Only client_credentials can be shared."""
    with pytest.raises(BadRequest) as caught:
        require_grant(of_form({"grant_type": grant}))
    assert caught.value.error == error


def test_there_is_no_default_client() -> None:
    """A caller that names none learns what to send."""
    with pytest.raises(BadRequest, match="client_id is missing"):
        require_client(of_form({"grant_type": "client_credentials"}))


def test_what_is_said_about_the_caller_is_not_among_the_parameters() -> None:
    """So that a proof is in one place only, which masks it."""
    asked = of_form({"client_id": "billing", **ASSERTION, "token": "t", "token_type_hint": "access_token"})
    assert set(asked.parameters) == {"token", "token_type_hint"}


CANARY: Final = "canary7f3a"


@given(
    st.sampled_from([FORM, JSON, FORM + "; charset=latin-1"]),
    st.binary(max_size=200) | st.text(max_size=100).map(str.encode),
    st.lists(st.text(max_size=40) | st.text(max_size=20).map("Basic {}".format), max_size=2),
    st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x21), max_size=40),
)
@example(FORM, b"client_id=%zz;&&==", ["Basic Og=="], "&=")
def test_any_bytes_are_a_request_or_refused(kind: str, body: bytes, authorizations: list[str], query: str) -> None:
    """Nothing else is raised."""
    match outcome(Head([kind], authorizations, query), body):
        case BadRequest(status=status):
            assert status in (400, 415)
        case asked:
            assert set(asked.parameters) <= OWN


@given(st.dictionaries(names, values, max_size=6))
def test_any_object_is_a_request_or_refused(parameters: dict[str, Any]) -> None:
    """With lone surrogates, huge numbers and deep values, too."""
    asked = outcome(head(kind=JSON), json.dumps(parameters).encode())
    assert not isinstance(asked, BadRequest) or asked.status == 400


@given(st.data())
def test_no_text_repeats_anything_of_a_request(data: st.DataObject) -> None:
    """A caller may have put its secret into the wrong field, and errors are logged. Not even as an error's context."""
    canary = st.sampled_from([CANARY, f"{CANARY} x", f"%{CANARY}", f"{CANARY}\ud800", f'"{CANARY}', f"{CANARY}\0"])
    drawn = data.draw(st.dictionaries(names.map(lambda name: name or CANARY), canary | st.lists(canary), max_size=5))
    authorizations = data.draw(st.lists(canary | canary.map(lambda text: f"Basic {text}"), max_size=2))
    raw = json.dumps(drawn)
    body = data.draw(st.sampled_from([raw, raw[:-1], raw.replace(":", "="), raw * 2]))
    kind = data.draw(st.sampled_from([FORM, JSON, CANARY]))
    query = f"client_id={CANARY}" if len(body) % 7 == 0 else ""
    cause: object = outcome(Head([kind], authorizations, query), body.encode())
    while isinstance(cause, BaseException):
        assert CANARY not in f"{cause} {cause.args} {getattr(cause, 'remedy', '')}"
        cause = cause.__context__
