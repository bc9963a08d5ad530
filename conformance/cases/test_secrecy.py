"""No token in any text. (Every other case looks at all output, too.)"""

from pathlib import Path

import grpc

from conformance.harness.testee import Testee
from conformance.servers.failures import Failure
from conformance.servers.files import bearer
from conformance.servers.scripted import FIRST, KEY, Scripted
from support.leaks import LeakChecker

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


def must_say_nothing(testee: Testee, server: Scripted, canaries: list[str]) -> None:
    texts: dict[str, str] = testee.call("print", source="s")["texts"]
    for kind in KINDS:
        assert len([name for name in texts if name.startswith(kind)]) >= 3, (kind, sorted(texts))
    checker = LeakChecker()
    for secret in [*(token.text for token in server.published), *canaries]:
        checker.know("a secret", secret)
    assert [found for name, text in texts.items() for found in checker.find(name, text)] == []
