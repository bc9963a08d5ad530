"""What the settings need to know of a Redis URL; common/redis_url.py has the grammar."""

from mintonce_server.common.redis_url import RedisUrlError, parse_redis_url
from mintonce_server.common.redis_url import without_secrets as without_secrets


def fault_in(url: str) -> tuple[str, str] | None:
    """What is wrong, and the remedy. Shows nothing of the URL but names of options."""
    try:
        parse_redis_url(url)
    except RedisUrlError as error:
        return error.what, error.remedy
    return None


def is_encrypted(url: str) -> bool:
    """Whether it asks for TLS."""
    return url.startswith("rediss")
