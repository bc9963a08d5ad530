"""What the issuer calls an exchange: for the audit log, and for those who ask the issuer's people. Pure."""

import re
from collections.abc import Mapping
from typing import Final

REQUEST_ID_HEADERS: Final = (
    "x-request-id",
    "x-correlation-id",
    "x-auth0-requestid",
    "x-okta-request-id",
    "x-ms-request-id",
    "x-amzn-requestid",
    "request-id",
    "cf-ray",
)
"""The first that is there, and harmless, counts."""

# No space, quote or control character: it goes into log lines as it is.
_HARMLESS = re.compile(r"[A-Za-z0-9_.:/+=@-]{1,128}")


def request_id(headers: Mapping[str, str]) -> str:
    """The issuer's name for the exchange, or "". Header names are lower case."""
    stated = (headers.get(name, "").strip() for name in REQUEST_ID_HEADERS)
    return next((text for text in stated if _HARMLESS.fullmatch(text)), "")
