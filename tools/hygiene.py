"""Fails on committed text that ties the project to one machine or network, or that looks like a secret."""

import re
import sys

from sizes import ROOT, files

# Written so that the patterns do not match themselves.
FORBIDDEN = {
    r"py[p]i\.(org|python)|python[h]osted\.": "the host of a package registry",
    r"registry\.(np[m]js|yar[n]pkg)|proxy\.golan[g]": "the host of a package registry",
    r"crate[s]\.io|maven[.]org|maven\.apach[e]": "the host of a package registry",
    r"(?<![\w.])/(roo[t]|Use[r]s)/\w|/hom[e]/[a-z]{2}": "a path of one machine",
    r"(?<![\w.])/wor[k]/\w": "a path of one machine",
    r"eyJ[A-Za-z0-9_-]{16,}[.]eyJ": "a token",
    r"-----BEGI[N] (\w+ )*PRIVATE KEY": "a private key",
}
# Names that look like hosts and are never asked: Cargo's of its public registry, and the namespace of Maven's XML.
NAMES = re.compile(
    r'^source = "registry\+https://github\.com/rust-lang/crate[s]\.io-index"$'
    r"|https?://maven\.apach[e]\.org/(POM|xsd)/"
)
PATTERNS = [(re.compile(pattern), why) for pattern, why in FORBIDDEN.items()]


def complaints(name: str) -> list[str]:
    """What one file should not say."""
    try:
        text = (ROOT / name).read_text()
    except UnicodeDecodeError:
        return []  # not text
    return [
        f"{name}:{number}: names {why}"
        for number, line in enumerate(text.splitlines(), start=1)
        for pattern, why in PATTERNS
        if pattern.search(line) and not NAMES.search(line)
    ]


def main() -> int:
    """0 if all is clean."""
    found = [complaint for name in files() for complaint in complaints(name)]
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
