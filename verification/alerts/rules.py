"""The rules as they are, but for their times: minutes and hours become seconds, so that a run ends soon."""

import re
from typing import Final

WINDOWS: Final = {"5m": "10s", "10m": "30s", "15m": "30s", "1h": "30s", "6h": "45s", "24h": "60s", "7d:1h": "60s:1s"}
"""Each window of the rules, and the one in its place."""


def hurried(text: str) -> str:
    """The file with short windows, and with alerts that fire after a second. Raises KeyError for an unknown window."""
    text = re.sub(r"\[([\w:]+)\]", lambda found: f"[{WINDOWS[found[1]]}]", text)
    text = re.sub(r"^( +for: )\w+$", r"\g<1>1s", text, flags=re.MULTILINE)
    return re.sub(r"^( +interval: )\w+$", r"\g<1>1s", text, flags=re.MULTILINE)
