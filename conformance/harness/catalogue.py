"""The cases by their numbers. A test of case 7 is named `test_case_07_…`."""

import re
from typing import Final

CASES: Final = {
    1: "Open returns the first token, by one GetToken",
    2: "A refused open is Refused, keeps remedy and request id, and leaves nothing behind",
    3: "Nobody listens: Unreachable within 3 s, with the target; an open may wait for the server",
    4: "10 000 reads of the token make no call",
    5: "A pushed successor is seen through the watch, without GetToken",
    6: "A server without WatchToken: successors by GetToken after the refresh time, no storm",
    7: "A lower generation is ignored while a higher one lives, and counts afterwards",
    8: "A generation that was rejected does not come back",
    9: "The server stops: the token is served to its true end, then TokenExpired with the cause",
    10: "The server comes back on its port: a token again within 6 s",
    11: "A replica drains: no error, and a watch on the other within 2 s",
    12: "50 waits for an expired token are one GetToken",
    13: "A wait inside the back-off fails at once, without a call",
    14: "RetryInfo is honoured, and cut at 300 s",
    15: "Reject: one RejectToken, one GetToken, the successor",
    16: "50 rejects of one generation are one RejectToken",
    17: "Reject of an old generation: the current token, no call",
    18: "A refused report: the error with its delay, the token stays, no second call meanwhile",
    19: "Rejected, and the mint fails: the mint's error, nothing dead is served",
    20: "A client rejects by the text's SHA-256; without any token it is a programming error",
    21: "Deadlines of both kinds are Unavailable, and are kept",
    22: "The caller's own cancellation is the language's kind, at once",
    23: "Errors without details, with garbage, of others, with unknown reasons: a class by the code",
    24: "Retries: at most four, none after a pushback, never for RotateToken",
    25: "Life counts from before the call; wall clocks do not matter",
    26: "No token in any text",
    27: "TLS: the certificate arrives, a wrong CA and a wrong name are explained, server_name",
    28: "Certificates are replaced while it runs; a broken file keeps the old, one warning",
    29: "Bearer files: sent, replaced, never in clear to others, no proxy for loopback",
    30: "The environment's variables",
    31: "Close: again and again, waiters get Closed, watches end, a shared client stays",
    32: "HTTP adapters: a 401 rejects once and repeats once",
    33: "gRPC call credentials: a header a call, none in clear beyond loopback",
    34: "Unknown origins and fields are accepted",
    35: "A silent cut is noticed within 75 s, and pings are few enough",
    36: "Unix sockets",
    37: "End to end: all languages, two replicas, one key, the same tokens in the same order",
    38: "A token that no header can hold is refused, and the one before it stays",
}
MAY: Final = frozenset({36})
"""The rest is a must."""

_NAME: Final = re.compile(r"test_case_(\d\d)_")


def number(test: str) -> int | None:
    """The case that a test belongs to, by the test's name."""
    found = _NAME.match(test)
    return int(found[1]) if found else None
