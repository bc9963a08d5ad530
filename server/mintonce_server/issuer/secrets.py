"""A client's secrets while one is replaced at the issuer: two are good for a while, or the new one is not good yet."""

from collections.abc import Callable, Sequence
from typing import Final

from mintonce_server.core.secret import Secret

MAX_SECRETS: Final = 2
"""More would make a mint many POSTs, and a client whose secrets are all wrong a nuisance to the issuer."""


class SecretsInOrder:
    """Which secret to try first: the one that worked last, and before anyone knows, the first of the source."""

    def __init__(self, source: Callable[[], Sequence[Secret]]) -> None:
        """The source, newest first, is asked at each mint, so that secrets may change without a restart."""
        self._source = source
        self._known: Sequence[Secret] = ()
        self._worked: Secret | None = None

    def in_order(self) -> Sequence[Secret]:
        """One or two, best first."""
        secrets = tuple(dict.fromkeys(self._source()))[:MAX_SECRETS]
        if secrets != self._known:
            self._known, self._worked = secrets, None
        return sorted(secrets, key=lambda secret: secret != self._worked)  # stable: the others stay in their order

    def worked(self, secret: Secret) -> None:
        """The issuer took it. Forgotten as soon as the secrets change: then the newest comes first again."""
        if secret in self._known:
            self._worked = secret
