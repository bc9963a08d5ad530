"""What the endpoint says of itself (RFC 8414), and that it says nothing that a caller put there."""

import pytest

from mintonce_server.web.token_endpoint.discovery import MISSING, OAUTH, OPENID, metadata

URL = "https://tokens.example.com"


@pytest.mark.parametrize(
    ("path", "issuer"),
    [
        (OAUTH, URL),
        (f"{OAUTH}/tenant", f"{URL}/tenant"),
        (OPENID, URL),
        (f"/tenant/v2.0{OPENID}", f"{URL}/tenant/v2.0"),
    ],
)
def test_the_issuer_is_the_one_that_is_asked_for(path: str, issuer: str) -> None:
    """Libraries compare it to the letter with what they were told."""
    said = metadata(f"{URL}/", path, "/oauth/token", None)
    assert said is not None
    assert said["issuer"] == issuer
    assert said["token_endpoint"] == f"{URL}/oauth/token"
    assert said["grant_types_supported"] == ["client_credentials"]
    assert "revocation_endpoint" not in said
    assert (MISSING.keys() <= said.keys()) == path.endswith(OPENID)


def test_revocation_is_named_where_it_is_served() -> None:
    """Otherwise a library would try it."""
    said = metadata(URL, OAUTH, "/oauth/token", "/oauth/revoke")
    assert said is not None
    assert said["revocation_endpoint"] == f"{URL}/oauth/revoke"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/oauth/token",
        "/.well-known/jwks.json",
        f"{OAUTH}x",
        f"/a{OAUTH}/b",
        f'/"onload=x{OPENID}',
        f"/{'a' * 101}{OPENID}",
        f"{OAUTH}/%0d%0a",
    ],
)
def test_any_other_path_is_none_of_discovery(path: str) -> None:
    """Nor is one with characters that stand in no issuer's path."""
    assert metadata(URL, path, "/oauth/token", None) is None
