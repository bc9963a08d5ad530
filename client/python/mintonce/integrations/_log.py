"""What an integration says when it could not report a 401."""

import logging
from typing import Final

from mintonce.errors import MintonceError

_LOGGER: Final = logging.getLogger("mintonce")


def not_replaced(error: MintonceError) -> None:
    """The caller gets the API's own 401, which is the truth; why no other token could be tried is told here."""
    _LOGGER.warning("the API answered 401, and the token could not be replaced: %s (%s)", error, error.reason)
