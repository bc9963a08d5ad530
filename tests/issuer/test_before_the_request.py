"""A request that cannot be built is an issuer failure, and shows nothing of its contents."""

import traceback
from collections.abc import Sequence

import pytest

from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.core.errors import IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.issuer import ClientCredentials
from support.endpoints import CLIENT_ID, IssuerAt

QUOTED = "what-is-in-the-file"
KEY = TokenKey.of("orders", "https://api.example.com/")


@pytest.mark.parametrize("kind", [KeyError, ValueError, RuntimeError, OSError])
async def test_whatever_a_proof_raises_is_the_issuers_trouble(
    issuer_at: IssuerAt, practice: PracticeIssuer, kind: type[Exception]
) -> None:
    """For example, a library refuses a key. The text of its error may quote the key."""

    def secrets() -> Sequence[Secret]:
        raise kind(QUOTED)

    issuer = issuer_at(practice.token_url, ClientCredentials(CLIENT_ID, client_secrets=secrets))
    with pytest.raises(IssuerUnavailable) as caught:
        await issuer.mint(KEY)
    assert QUOTED not in "".join(traceback.format_exception(caught.value))
    assert practice.posts == 0
