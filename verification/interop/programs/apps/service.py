"""What the programs have in common: a source made when the module is imported, and an answer that shows its token."""

import json
import os

from mintonce import Token, TokenSource

CLIENT, AUDIENCE = "demo", "https://api.example.com/"

source = TokenSource(CLIENT, AUDIENCE)


def shown(token: Token) -> str:
    """One line of JSON, without the token's text."""
    return json.dumps({"pid": os.getpid(), "generation": token.generation, "expires_in": token.expires_in()})


def answer() -> str:
    """As a request of the program would use it."""
    return shown(source.get())
