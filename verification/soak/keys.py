"""Which keys a soak asks for, by audience."""

from typing import Final

SHORT: Final = tuple(f"https://soak-{number}.example.com/" for number in range(6))
"""Always in use. Their tokens end many times in a run."""
LONG: Final = tuple(f"https://long-{number}.example.com/" for number in range(2))
"""Always in use. Their tokens outlive most of a run, unless they are rejected."""
RARE: Final = tuple(f"https://soak-rare-{number}.example.com/" for number in range(40))
"""Asked for now and then: mostly cold."""
UNTOUCHED: Final = "https://untouched.example.com/"
"""Rejected only by generations that never were. Its token outlives the run, and the issuer never fails for it."""

ISSUER_FAILS_FOR: Final = "https://soak-*"
LIFETIMES: Final = {"https://long-*": 600.0, UNTOUCHED: 7200.0}
"""Seconds; all other tokens live `Setup.lifetime`."""
ALL: Final = (*SHORT, *LONG, *RARE, UNTOUCHED)
