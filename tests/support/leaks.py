"""Looks for secrets where none may be: in logs, messages, argument lists, reprs."""

import base64
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Characters. A shorter text would be found by chance."""
PIECE = 24
"""Of a long secret, a piece of this length is a leak too."""


class LeakChecker:
    """Knows secrets, and finds them again in any of the ways in which they are usually written."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"LeakChecker({', '.join(sorted(set(self._secrets.values())))})"  # a failing test prints it

    def know(self, what: str, text: str) -> None:
        """From now on this text is to be seen nowhere. `what` names it in a finding."""
        assert len(text) >= SHORTEST, f"{what} is too short to be looked for"
        self._secrets[text] = what

    def know_token(self, text: str) -> None:
        """A JWT's header is the same in all, so its claims and its signature are looked for each by itself too."""
        self.know("a token", text)
        for part in text.split(".")[1:]:
            self.know("a part of a token", part)

    def find(self, where: str, text: str) -> list[str]:
        """What was found there; [] when all is well. Never quotes a secret."""
        return sorted({f"{what} in {where}" for secret, what in self._secrets.items() if _holds(text, secret)})

    def find_in_file(self, path: Path) -> list[str]:
        return self.find(path.name, path.read_bytes().decode(errors="replace"))

    def find_in_arguments(self, pid: int) -> list[str]:
        """What everybody on the machine can see of a process (proc(5))."""
        return self.find(f"the arguments of process {pid}", Path(f"/proc/{pid}/cmdline").read_text())

    def find_in_exception(self, error: BaseException) -> list[str]:
        """In its text, its repr, its notes, and those of everything that led to it."""
        found: list[str] = []
        links: list[BaseException | None] = [error]
        while links:
            link = links.pop()
            if link is None:
                continue
            said = "\n".join([str(link), repr(link), *getattr(link, "__notes__", []), repr(vars(link))])
            found += self.find(f"a {type(link).__name__}", said)
            links += [link.__cause__, link.__context__ if not link.__suppress_context__ else None]
        return found


def _holds(text: str, secret: str) -> bool:
    return any(written in text for written in _ways_to_write(secret))


def _ways_to_write(secret: str) -> set[str]:
    data = secret.encode()
    ways = {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], data.hex()}
    # In base64 it looks different at each of the three places where it may begin (RFC 7617 puts `id:` before it). Only
    # the characters count that its neighbours have no bit in.
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        ways.add(encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6])
    if len(secret) > 2 * PIECE:
        middle = len(secret) // 2
        ways |= {secret[-PIECE:], secret[middle : middle + PIECE]}
    return {way for way in ways if len(way) >= SHORTEST}
