"""What a Redis URL may say, and how an invalid one is refused."""

import traceback
from pathlib import Path

import pytest

from mintonce_server.common.clock import Clock
from mintonce_server.common.redis_url import Address, parse_redis_url
from support.options import redis_store
from support.redis_urls import BAD_URLS, GOOD_URLS
from support.samples import HASHER


@pytest.mark.parametrize(
    ("url", "text"), [*BAD_URLS.items(), ("rediss://h1?ssl_ca_certs=/no/such/file", "cannot be read")]
)
def test_a_bad_url_is_refused_without_showing_it(url: str, text: str, clock: Clock) -> None:
    """A ValueError, for the settings to report."""
    with pytest.raises(ValueError, match="Redis URL") as caught:
        redis_store(url, hasher=HASHER, clock=clock)
    shown = "".join(traceback.format_exception(caught.value))
    assert text in shown
    assert "password" not in str(caught.value).replace("[user]:password@", "").replace("of the password", "").replace(
        "sentinel_password", ""
    )


@pytest.mark.parametrize(("url", "name"), GOOD_URLS.items())
async def test_a_good_url_is_taken(url: str, name: str, clock: Clock) -> None:
    """Nothing is sent before the first operation. Its name in messages has neither user nor password."""
    assert parse_redis_url(url).name == name
    await redis_store(url, hasher=HASHER, clock=clock).close()


def test_user_and_password_are_decoded() -> None:
    """Those of the servers and those of the Sentinels. The repr shows neither."""
    target = parse_redis_url("redis+sentinel://u%3A:p%2F%3A@h1:7,h2/s%20s/3?sentinel_username=v&sentinel_password=q%26")
    assert (target.username, target.password) == ("u:", "p/:")
    assert (target.sentinel_username, target.sentinel_password) == ("v", "q&")
    assert (target.addresses, target.service, target.db) == ((Address("h1", 7), Address("h2", 26_379)), "s s", 3)
    assert "p/:" not in repr(target)
    assert "q&" not in repr(target)


def test_a_file_that_is_no_certificate_is_said(tmp_path: Path, clock: Clock) -> None:
    """At startup, not at the first connection."""
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="not PEM"):
        redis_store(f"rediss://host?ssl_ca_certs={path}", hasher=HASHER, clock=clock)
