"""The MINTONCE_ variables: what they mean, alone and together, and that arguments win."""

from pathlib import Path

import pytest

from conformance.harness.kit import Serve, Start
from conformance.servers.files import Authority, bearer
from conformance.servers.scripted import FIRST, KEY, Scripted


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "ours")
    made.give_client("orders")
    return made


@pytest.fixture
def mutual(serve: Serve, authority: Authority) -> Scripted:
    return serve(credentials=authority.server(mutual=True))


@pytest.fixture
def file(tmp_path: Path, canaries: list[str]) -> Path:
    path = tmp_path / "bearer"
    canaries.append(bearer())
    path.write_text(canaries[-1])
    return path


def test_case_30_the_target(start: Start, server: Scripted) -> None:
    """Of the environment, when the program says none."""
    testee = start({"MINTONCE_TARGET": server.target})
    assert testee.call("open", source="s", **KEY)["generation"] == FIRST


def test_case_30_an_argument_beats_the_target(start: Start, server: Scripted) -> None:
    """And empty variables are none at all."""
    empty = ("TLS", "CA_FILE", "CERTIFICATE_FILE", "KEY_FILE", "SERVER_NAME", "BEARER_FILE", "API_KEY_FILE")
    testee = start({"MINTONCE_TARGET": "127.0.0.1:9", **{f"MINTONCE_{name}": "" for name in empty}})
    assert testee.call("open", source="s", **KEY, target=server.target)["generation"] == FIRST
    assert testee.fails("open", source="t", **KEY).kind == "Unreachable"


def test_case_30_the_authority(start: Start, serve: Serve, authority: Authority) -> None:
    """MINTONCE_CA_FILE alone turns TLS on."""
    server = serve(credentials=authority.server())
    testee = start({"MINTONCE_TARGET": server.target, "MINTONCE_CA_FILE": str(authority.ca_file)})
    assert testee.call("open", source="s", **KEY)["generation"] == FIRST


def test_case_30_certificate_key_and_name(start: Start, serve: Serve, authority: Authority) -> None:
    """All four of them."""
    server = serve(credentials=authority.server("mintonce.test", mutual=True))
    testee = start(
        {
            "MINTONCE_TARGET": server.target,
            "MINTONCE_CA_FILE": str(authority.ca_file),
            "MINTONCE_CERTIFICATE_FILE": str(authority.certificate_file),
            "MINTONCE_KEY_FILE": str(authority.key_file),
            "MINTONCE_SERVER_NAME": "mintonce.test",
            "MINTONCE_TLS": "Yes",
        }
    )
    testee.call("open", source="s", **KEY)
    assert server.calls[0].common_name == "orders"


def test_case_30_a_certificate_without_a_key(start: Start, mutual: Scripted, authority: Authority) -> None:
    """The key is in the same file."""
    testee = start({"MINTONCE_CA_FILE": str(authority.ca_file), "MINTONCE_CERTIFICATE_FILE": str(authority.both_file)})
    testee.call("open", source="s", **KEY, target=mutual.target)
    assert mutual.calls[0].common_name == "orders"


@pytest.mark.parametrize("word", ["true", "1", "ON"])
def test_case_30_tls_on(start: Start, server: Scripted, word: str) -> None:
    """This host's authorities: a server in clear is not spoken to."""
    testee = start({"MINTONCE_TLS": word})
    assert testee.fails("open", source="s", **KEY, target=server.target).kind == "Unreachable"
    assert server.calls == []


@pytest.mark.parametrize("word", ["false", "0", "No", "off"])
def test_case_30_tls_off(start: Start, server: Scripted, word: str) -> None:
    """In clear."""
    testee = start({"MINTONCE_TLS": word})
    assert testee.call("open", source="s", **KEY, target=server.target)["generation"] == FIRST


@pytest.mark.parametrize(
    "names",
    [{"TLS": "maybe"}, {"TLS": "no", "CA_FILE": "ca"}, {"KEY_FILE": "key"}, {"BEARER_FILE": "b", "API_KEY_FILE": "b"}],
    ids=["maybe", "no with a file", "a key alone", "two bearers"],
)
def test_case_30_contradictions(
    start: Start, server: Scripted, authority: Authority, file: Path, names: dict[str, str]
) -> None:
    """An error that names the variable, before any call; never a guess."""
    files = {"ca": authority.ca_file, "key": authority.key_file, "b": file}
    testee = start({f"MINTONCE_{name}": str(files.get(text, text)) for name, text in names.items()})
    failed = testee.fails("open", source="s", **KEY, target=server.target)
    assert (failed.kind, failed.reason) == ("Refused", "CREDENTIALS")
    assert any(f"MINTONCE_{name}" in failed.message for name in names)
    assert server.calls == []


@pytest.mark.parametrize("name", ["BEARER_FILE", "API_KEY_FILE"])
def test_case_30_the_bearer(start: Start, server: Scripted, file: Path, canaries: list[str], name: str) -> None:
    """Unless the program says that it wants none."""
    testee = start({f"MINTONCE_{name}": str(file)})
    testee.call("open", source="s", **KEY, target=server.target)
    testee.call("close", source="s")
    assert {call.authorization for call in server.calls} == {f"Bearer {canaries[0]}"}
    before = len(server.calls)
    testee.call("open", source="t", **KEY, target=server.target, bearer_file=False)
    assert server.calls_of("GetToken")[-1].authorization == ""
    assert len(server.calls) > before


def test_case_30_arguments_beat_tls(start: Start, server: Scripted, serve: Serve, tmp_path: Path) -> None:
    """`tls: false` is in clear, and a `tls` of its own is not completed from the environment."""
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    secured = serve(credentials=ours.server())
    testee = start({"MINTONCE_CA_FILE": str(other.ca_file)})
    assert testee.call("open", source="s", **KEY, target=server.target, tls=False)["generation"] == FIRST
    assert testee.call("open", source="t", **KEY, target=secured.target, tls=ours.tls())["generation"] == FIRST
    assert testee.fails("open", source="u", **KEY, target=secured.target).kind == "Unreachable"
