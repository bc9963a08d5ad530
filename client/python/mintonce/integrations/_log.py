"""What an integration logs when it cannot replace a token after a 401."""

import logging
from typing import Final

from mintonce.errors import MintonceError

_LOGGER: Final = logging.getLogger("mintonce")


def not_replaced(error: MintonceError) -> None:
    """Log why there is no other token to try. The caller gets the API's own 401."""
    _LOGGER.warning("the API answered 401, and the token could not be replaced: %s (%s)", error, error.reason)
