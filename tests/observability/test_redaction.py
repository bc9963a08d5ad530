"""No secret is written, whatever form it comes in."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core.secret import MASK, Secret
from mintonce_server.observability.redaction import MAX_TEXT, Redactor

CANARY = "canary5ecret"
HEADER = "eyJhbGciOiJSUzI1NiJ9"
JWT = f"{HEADER}.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl-canary"
OPAQUE = Secret("opaque#Canary§")


@dataclass
class Holder:
    """Something that has a secret among its fields."""

    name: str
    access_token: str
    inner: object


class Stubborn:
    """Something whose repr fails."""

    def __repr__(self) -> str:
        raise RuntimeError(CANARY)


@pytest.mark.parametrize(
    "value",
    [
        Secret(CANARY),
        [Secret(CANARY)],
        {"a": ({"b": Secret(CANARY)},)},
        {Secret(CANARY)},
        CANARY.encode(),
        [bytearray(CANARY.encode())],
        Holder("n", CANARY, Secret(CANARY)),
        Stubborn(),
    ],
)
def test_secrets_are_known_by_their_type(value: object) -> None:
    """A Secret, bytes, or something that holds them, shows nothing of itself."""
    assert CANARY not in repr(Redactor().value(value))


@pytest.mark.parametrize(
    "name",
    [
        "token", "access_token", "accessToken", "refresh-token", "id_token", "client_secret", "CLIENT_SECRET",
        "authorization", "Proxy-Authorization", "client_assertion", "password", "redis.password", "x-api-key",
        "private_key", "Set-Cookie",
    ],
)  # fmt: skip
def test_secrets_are_known_by_the_name_of_their_field(name: str) -> None:
    """Also in tables inside, and in the pairs that headers and metadata are made of."""
    nested = {"outer": [{name: CANARY}], "headers": [(name, CANARY)], "raw": [(name.encode(), CANARY)], name: [CANARY]}

    assert CANARY not in repr(Redactor().value(nested))
    assert Redactor().field(name, CANARY) == MASK


def test_a_name_that_only_resembles_a_secret_s_hides_nothing() -> None:
    """What a reader of logs needs stays."""
    event = {"token_type": "Bearer", "key_hash": "ab12", "generation": 7, "client": "billing", "credential_version": 2}

    assert Redactor().value(event) == event


@pytest.mark.parametrize(
    "text",
    [
        f"got {JWT}",
        f"x={JWT}&y",
        f"Authorization: Bearer {CANARY}",
        f"authorization: Basic {CANARY}==",
        f"'Authorization': 'Bearer {CANARY}'",
        f"bearer {CANARY}",
        f"grant_type=client_credentials&client_secret={CANARY}&audience=a",
        f'{{"client_secret": "{CANARY}"}}',
        f'{{"client_secret":"with space {CANARY}"}}',
        f"{{'access_token': '{CANARY} {CANARY}'}}",
        f"{{'access_token': b'{CANARY}'}}",
        f"password = {CANARY}",
        f"access_token='{CANARY}'",
        f"client_assertion={CANARY}",
        f"redis://user:{CANARY}@host:6379/0",
        f"redis://:{CANARY}/with/slash@host",
        f"rediss://:{CANARY}@{CANARY}@host",
        f"https://login.example.com/token?code={CANARY}",
    ],
)
def test_secrets_are_known_by_their_look(text: str) -> None:
    """Both before a text is rendered, and on the rendered line."""
    assert "anary" not in Redactor().text(text)
    assert CANARY + " " not in Redactor().line(text)


def test_names_are_shown_as_they_are() -> None:
    """But for what looks like a token, has a password in it, or is known to be secret."""
    redactor = Redactor([OPAQUE])
    names = ["token:read", "api_key:rotate", "https://api.example.com/", "jwt:prod:system:serviceaccount:my-token:web"]
    assert redactor.names(names) == names
    for bad in (JWT, f"https://user:{CANARY}@host/", f"https://host/?code={CANARY}", f"x{OPAQUE.reveal()}"):
        shown = str(redactor.names(["before", f"{bad}"]))
        assert "anary" not in shown
    assert redactor.names(Secret(CANARY)) == MASK
    assert len(str(redactor.names(f"{'x ' * MAX_TEXT}{JWT}"))) < MAX_TEXT + 10


def test_known_secrets_are_found_wherever_they_stand() -> None:
    """A client secret has no particular look, so it is registered with the Redactor."""
    redactor = Redactor([OPAQUE])

    assert OPAQUE.reveal() not in redactor.text(f"prefix{OPAQUE.reveal()}suffix")
    assert OPAQUE.reveal() not in repr(redactor)


def test_a_known_secret_is_not_cut_in_two_and_then_missed() -> None:
    """Masking comes before cutting a long text."""
    text = "x" * (MAX_TEXT // 2 - 5) + OPAQUE.reveal() + "y" * MAX_TEXT

    assert OPAQUE.reveal()[:5] not in Redactor([OPAQUE]).text(text)


def test_a_text_is_cut_in_the_middle() -> None:
    """The end of a traceback says the most."""
    text = Redactor().text("begin" + "x" * 10 * MAX_TEXT + "end")

    assert text.startswith("begin")
    assert text.endswith("end")
    assert len(text) < MAX_TEXT + 10


def test_endless_things_end() -> None:
    """A table that holds itself is written to a certain depth."""
    table: dict[str, object] = {}
    table["self"] = table

    assert "…" in repr(Redactor().value(table))


@given(st.text(), st.text())
def test_masking_twice_changes_nothing(before: str, after: str) -> None:
    """Every line is masked piece by piece and then as a whole."""
    once = Redactor().text(f"{before}client_secret={CANARY} {after}")

    assert CANARY not in once
    assert Redactor().line(once).count(MASK) >= 1
