"""No token in any text. (Every other case looks at all output, too.)"""

from pathlib import Path
from typing import Any

import grpc
import pytest

from conformance.harness.kit import Start
from conformance.harness.testee import Testee
from conformance.servers.failures import Failure
from conformance.servers.files import bearer
from conformance.servers.scripted import FIRST, KEY, Scripted
from support.leaks import LeakChecker

SECRET = "secret-canary-of-a-file"
KINDS = ("token.", "source.", "error.")


def test_case_26_no_token_in_any_text(testee: Testee, server: Scripted, canaries: list[str], tmp_path: Path) -> None:
    """Of the token, the source, the client and the error, in whatever way the language writes them."""
    canaries.append(bearer())
    (tmp_path / "bearer").write_text(canaries[0])
    testee.call("client_open", conn="c", target=server.target, bearer_file=tmp_path / "bearer")
    testee.call("open", source="s", **KEY, via="c")
    server.wait_for_watches()
    server.fail("RejectToken", Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "ROTATION_TOO_SOON"))
    testee.fails("reject", source="s", generation=FIRST, timeout_ms=5000)
    must_say_nothing(testee, server, canaries)
    for method in ("GetToken", "RejectToken"):
        server.fail(method, Failure(grpc.StatusCode.INTERNAL, details=b"\xff\xff"))
        op, how = ("client_get", {}) if method == "GetToken" else ("client_reject", {"generation": FIRST})
        testee.fails(op, conn="c", **KEY, **how)
        must_say_nothing(testee, server, canaries)


def test_case_26_nor_after_its_end(testee: Testee, server: Scripted) -> None:
    """A source that is over or closed, and the error of it."""
    for name in ("s", "other"):
        testee.call("open", source=name, **KEY, target=server.target)
    testee.call("reject", source="s", generation=FIRST)
    testee.call("close", source="s")
    assert testee.fails("get", source="s").kind == "Closed"
    texts = testee.call("print", source="other")["texts"]
    assert any(name.startswith("error.") for name in texts)


BEGIN = "-----BEGIN {} KEY-----".format("PRIVATE")  # in one piece it would look like a leaked key


@pytest.mark.parametrize(
    "secret",
    [
        f"mok_{SECRET}",
        f"eyJhbGciOiJub25lIn0.{SECRET}.x",
        f"{SECRET}\n",
        f"{BEGIN}\n{SECRET}\n{BEGIN.replace('BEGIN', 'END')}\n",
        f"{BEGIN} {SECRET}",
    ],
    ids=["an API key", "a JWT", "a line", "a key", "a key in one line"],
)
def test_case_26_a_secret_in_place_of_a_path(
    testee: Testee, start: Start, server: Scripted, canaries: list[str], secret: str
) -> None:
    """Somebody has given the secret itself where the name of its file, or the target, belongs."""
    canaries.append(SECRET)
    options: dict[str, dict[str, Any]] = {
        "bearer": {"bearer_file": secret},
        "key": {"api_key_file": secret},
        "ca": {"tls": {"ca_file": secret}},
        "certificate": {"tls": {"certificate_file": secret}},
    }
    for name, option in options.items():
        failed = testee.fails("client_open", conn=name, target=server.target, **option)
        assert (failed.kind, failed.reason) == ("Refused", "CREDENTIALS")
        assert "give the name of a file" in failed.message
    failed = testee.fails("client_open", conn="target", target=secret)
    assert (failed.kind, failed.reason, failed.code) == ("Refused", "INVALID_REQUEST", "INVALID_ARGUMENT")
    failed = start({"MINTONCE_API_KEY_FILE": secret}).fails("client_open", conn="c", target=server.target)
    assert (failed.kind, failed.reason) == ("Refused", "CREDENTIALS")


@pytest.mark.parametrize("target", ["user:{}@127.0.0.1:1", "dns:///{}@localhost:1", "https://user:{}@127.0.0.1:1"])
def test_case_26_a_password_in_the_target(testee: Testee, canaries: list[str], target: str) -> None:
    """As URLs may have one. A target has none."""
    canaries.append(SECRET)
    failed = testee.fails("client_open", conn="c", target=target.format(SECRET))
    assert (failed.kind, failed.reason) == ("Refused", "INVALID_REQUEST")


def must_say_nothing(testee: Testee, server: Scripted, canaries: list[str]) -> None:
    texts: dict[str, str] = testee.call("print", source="s")["texts"]
    for kind in KINDS:
        assert len([name for name in texts if name.startswith(kind)]) >= 3, (kind, sorted(texts))
    checker = LeakChecker()
    for secret in [*(token.text for token in server.published), *canaries]:
        checker.know("a secret", secret)
    assert [found for name, text in texts.items() for found in checker.find(name, text)] == []
