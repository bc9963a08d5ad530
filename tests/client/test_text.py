"""What a server says in an error reaches callers' logs and terminals bounded and printable."""

import grpc
import pytest

from mintonce import MintonceError, TokenClient
from mintonce._text import visible
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer

HOSTILE = "x\x1b[2J\r\n\u202e"


def test_an_error_holds_nothing_that_commands_a_terminal() -> None:
    """Message, remedy, code and request id."""
    with ScriptedServer() as server, TokenClient(server.target, timeout=5.0) as client:
        text, denied = HOSTILE + "y" * 3000, grpc.StatusCode.PERMISSION_DENIED
        server.fail("GetToken", denied, "PERMISSION_DENIED", remedy=text, request_id=text, issuer_error=text)
        with pytest.raises(MintonceError) as caught:
            client.get(CLIENT, AUDIENCE)
    error = caught.value
    texts = [str(error), error.remedy, error.request_id, error.issuer_error, error.reason]
    assert all(text.isprintable() and len(text) <= 2000 for text in texts)
    assert error.remedy.startswith("x\\x1b[2J\\r\\n\\u202ey")


def test_what_can_be_shown_stays_as_it_is() -> None:
    """Letters of all languages; a long text is cut."""
    assert visible("für 5 €…") == "für 5 €…"
    assert visible("abcdef", 5) == "ab..."
    assert visible("a\x07" * 10, 8) == "a\\x07..."
