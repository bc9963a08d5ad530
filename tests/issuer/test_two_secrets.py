"""Two secrets of a client, while one is being replaced at the issuer."""

import pytest

from mintonce_server.core.errors import IssuerRefused, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Issuer
from mintonce_server.core.secret import Secret
from mintonce_server.issuer import ClientCredentials
from mintonce_server.issuer.auth import SecretsInOrder
from mintonce_server.issuer.response import Answer, may_accept_another
from support.endpoints import CLIENT_ID, SECRET, IssuerAt
from support.faulty_issuer import Fault, FaultyIssuer

KEY = TokenKey.of("orders", "https://api.example.com/")
GOOD = Secret(SECRET)
BAD, WORSE, WORST = (Secret(f"wr0ng-secret-{number}") for number in range(3))


class Client:
    """The contents of a client's files, and its issuer."""

    def __init__(self, issuer_at: IssuerAt, practice: FaultyIssuer, *secrets: Secret) -> None:
        self.secrets = secrets
        self._practice = practice
        credentials = ClientCredentials(CLIENT_ID, client_secrets=lambda: self.secrets)
        self.issuer: Issuer = issuer_at(practice.token_url, credentials)

    async def posts(self) -> int:
        """How many POSTs the next mint takes."""
        before = self._practice.posts
        await self.issuer.mint(KEY)
        return self._practice.posts - before


async def test_a_new_secret_that_the_issuer_does_not_know_yet_fails_nothing(
    issuer_at: IssuerAt, practice: FaultyIssuer
) -> None:
    """One more POST finds the valid secret, and from then on it comes first."""
    client = Client(issuer_at, practice, BAD, GOOD)
    assert [await client.posts() for _ in range(3)] == [2, 1, 1]


async def test_the_newest_comes_first_again_when_the_secrets_change(
    issuer_at: IssuerAt, practice: FaultyIssuer
) -> None:
    """The secret that worked may soon be withdrawn."""
    client = Client(issuer_at, practice, BAD, GOOD)
    await client.posts()
    client.secrets = (WORSE, GOOD)
    assert await client.posts() == 2
    client.secrets = (GOOD, WORSE)
    assert await client.posts() == 1


async def test_when_the_one_that_worked_is_withdrawn_the_other_is_tried(
    issuer_at: IssuerAt, practice: FaultyIssuer
) -> None:
    """The end of a rotation: nothing fails."""
    client = Client(issuer_at, practice, BAD, GOOD)
    await client.posts()
    client.secrets = (GOOD,)
    assert await client.posts() == 1


@pytest.mark.parametrize("secrets", [(BAD, WORSE), (BAD, WORSE, WORST, GOOD), (BAD, BAD), (BAD,)])
async def test_there_is_one_more_post_at_most(
    issuer_at: IssuerAt, practice: FaultyIssuer, secrets: tuple[Secret, ...]
) -> None:
    """With any number of secrets; and never the same secret twice, because issuers lock clients out."""
    client = Client(issuer_at, practice, *secrets)
    with pytest.raises(IssuerRefused):
        await client.issuer.mint(KEY)
    assert practice.posts == min(2, len(set(secrets)))


def test_a_third_secret_is_left_alone() -> None:
    """The newest two count."""
    assert list(SecretsInOrder(lambda: (BAD, WORSE, GOOD)).in_order()) == [BAD, WORSE]


@pytest.mark.parametrize(("status", "kind"), [(500, IssuerUnavailable), (404, IssuerRefused)])
async def test_other_failures_are_not_the_secrets_fault(
    issuer_at: IssuerAt, practice: FaultyIssuer, status: int, kind: type[Exception]
) -> None:
    """One POST, as usual."""
    practice.fault = Fault(status=status)
    client = Client(issuer_at, practice, BAD, GOOD)
    with pytest.raises(kind):
        await client.issuer.mint(KEY)
    assert practice.posts == 1


@pytest.mark.parametrize(
    ("status", "body", "not_authenticated"),
    [
        (401, b'{"error":"invalid_client"}', True),
        (400, b'{"error":"invalid_client"}', True),
        (401, b'{"error":"access_denied"}', True),
        (401, b"<html>", True),
        (400, b'{"error":"unauthorized_client"}', True),
        (400, b"", True),
        (403, b"", True),
        (403, b'{"error":"invalid_client"}', True),
        (200, b'{"error":"invalid_client"}', True),
        (400, b'{"error":"invalid_scope"}', False),
        (400, b'{"error":"slow_down"}', False),
        (403, b'{"error":"access_denied"}', False),
        (429, b'{"error":"invalid_client"}', False),
        (200, b'{"access_token":"a"}', False),
    ],
)
def test_what_may_say_that_the_secret_was_not_taken(status: int, body: bytes, not_authenticated: bool) -> None:
    """Servers refuse a secret in many ways; a code that is about the request excludes it."""
    assert may_accept_another(Answer(status, {}, body)) is not_authenticated


def test_a_client_prints_no_secret() -> None:
    """Neither a secret nor where to get two."""
    shown = repr(ClientCredentials("the-id", GOOD))
    assert shown == "ClientCredentials(client_id='the-id', default_scopes=(), hmac_algorithm='HS256')"
