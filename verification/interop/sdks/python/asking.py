"""What every program here does: for each line on stdin it asks its SDK for a token, and prints a line of JSON.

First {"ready": true}; then {"sha256": the first 16 hex digits of the token's SHA-256}, or
{"error": what the user of the SDK sees, "leak": whether a traceback would show the secret}. Never a token.
"""

import base64
import hashlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from urllib.parse import urlsplit

TOKEN_URL = os.environ["SDK_TOKEN_URL"]
HOST = urlsplit(TOKEN_URL).netloc
CLIENT_ID = os.environ["SDK_CLIENT_ID"]
CLIENT_SECRET = os.environ["SDK_CLIENT_SECRET"]
AUDIENCE = os.environ["SDK_AUDIENCE"]


class Failed(Exception):
    """What an SDK says that raises no exception."""


def answer(token: Callable[[], str]) -> None:
    """Until stdin ends. `token` gives the text of a token."""
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        try:
            said: dict[str, object] = {"sha256": hashlib.sha256(token().encode()).hexdigest()[:16]}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the user of the SDK gets
            said = {"error": f"{type(error).__name__}: {error}", "leak": _shows(error)}
        print(json.dumps(said), flush=True)


def _shows(error: Exception) -> bool:
    printed = "".join(traceback.format_exception(error)) + repr(error)
    basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    return CLIENT_SECRET in printed or basic in printed
