"""Which token URLs are accepted."""

import traceback

import pytest

from mintonce_server.issuer import check_endpoint_url
from support.endpoints import endpoint_options


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.com/oauth/token",
        "https://login.example.com:8443/t?tenant=a",
        "http://localhost:8080/oauth/token",
        "http://127.0.0.1/oauth/token",
        "http://127.8.8.8/oauth/token",
        "http://[::1]:1/oauth/token",
    ],
)
def test_https_anywhere_and_http_on_this_machine(url: str) -> None:
    """Connections that cannot be intercepted."""
    check_endpoint_url(url, False, "token_url")


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/oauth/token",
        "http://localhost.example.com/oauth/token",
        "http://127.0.0.1.example.com/",
        "http://10.0.0.1/oauth/token",
        "http://[fe80::1]/",
        "http://0.0.0.0/",
    ],
)
def test_http_beyond_this_machine_only_when_said_out_loud(url: str) -> None:
    """The secret would be sent unencrypted."""
    with pytest.raises(ValueError, match="insecure_issuer"):
        check_endpoint_url(url, False, "token_url")
    check_endpoint_url(url, True, "token_url")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://user:hunter2@login.example.com/", "user name"),
        ("https://hunter2@login.example.com/", "user name"),
        ("https://@login.example.com/hunter2", "user name"),
        ("https://login.example.com/#hunter2", "fragment"),
        ("https://login.example.com/hunter2#", "fragment"),
        ("ftp://login.example.com/hunter2", "absolute https"),
        ("login.example.com/hunter2", "absolute https"),
        ("https:///hunter2", "absolute https"),
        ("https://login.example.com:port/hunter2", "malformed"),
        ("https://login.example.com:99999/hunter2", "malformed"),
        ("https://[::1/hunter2", "malformed"),
        ("https://user:hunter2", "malformed"),
        ("http://127.0.0.1\\@login.example.com/hunter2", "backslash"),
        ("https://login.example.com/hunter2\r\nX: y", "space"),
        ("https://login.example.com/ hunter2", "space"),
        ("https://löwe.example.com/hunter2", "ASCII"),
        ("", "space"),
    ],
)
def test_what_is_no_token_url_is_refused_without_repeating_it(url: str, why: str) -> None:
    """It may contain a password."""
    with pytest.raises(ValueError, match=why) as caught:
        check_endpoint_url(url, True, "token_url")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_options_check_their_url() -> None:
    """The check applies to every endpoint."""
    with pytest.raises(ValueError, match="insecure_issuer"):
        endpoint_options("http://login.example.com/oauth/token")
