"""What the random walks of follower_vectors.py meet too seldom: scripts of a name, events and times, and a jitter.

The first token has the generation 1 and lives from 0 to 1000; its refresh is due at 900.
"""

from typing import Any, Final

_DOWN: Final = {"reason": "UNREACHABLE", "retry_after": None, "code": "UNAVAILABLE"}
_SOON: Final = {"reason": "ROTATION_TOO_SOON", "retry_after": 4.0, "code": "RESOURCE_EXHAUSTED"}
_WATCHED: Final = {"do": "watch_ended", "error": _DOWN, "started_at": 0.0, "limit": 910.0}
_FAILED: Final = {"do": "fetch_failed", "error": _DOWN}
_OVER: Final = {"generation": 2, "expires_at": 1000.0, "refresh_at": 900.0}
_PUSHED: Final = {"do": "offer", "token": _OVER}

EDGES: Final[list[tuple[str, list[tuple[float, dict[str, Any]]], float]]] = [
    ("fetches-back-off-to-the-limit", [(1000.0 + second, _FAILED) for second in range(9)], 0.75),
    ("watches-back-off-to-the-limit", [(float(second), _WATCHED) for second in range(9)], 0.75),
    (
        "a-caller-hurries-when-the-token-ended-before-its-fetch-was-due",
        [(1000.0, {"do": "fetched", "token": _OVER}), (1000.1, {"do": "hurry"})],
        0.75,
    ),
    (
        "a-higher-generation-is-refused-while-a-lower-one-is-being-reported",
        [
            (1.0, {"do": "want_report", "generation": 1}),
            (1.1, _PUSHED),
            (1.2, {"do": "want_report", "generation": 2}),
            (1.3, {"do": "reported", "generation": 1}),
            (1.4, {"do": "reported", "generation": 2}),
        ],
        0.75,
    ),
    (
        "a-lower-generation-does-not-take-the-place-of-a-higher-one-that-waits",
        [
            (1.0, _PUSHED),
            (1.1, {"do": "want_report", "generation": 2}),
            (1.2, {"do": "want_report", "generation": 1}),
            (1.3, {"do": "reported", "generation": 2}),
        ],
        0.75,
    ),
    ("a-caller-hurries-just-when-the-back-off-ends", [(1000.0, _FAILED), (1001.0, {"do": "hurry"})], 1.0),
    (
        "a-report-is-blocked-until-then-and-no-longer",
        [
            (1.0, {"do": "want_report", "generation": 1}),
            (2.0, {"do": "report_failed", "error": _SOON}),
            (6.999, {"do": "want_report", "generation": 1}),
            (7.0, {"do": "want_report", "generation": 1}),
        ],
        1.0,
    ),
]
