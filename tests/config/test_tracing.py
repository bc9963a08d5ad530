"""Settings of traces: where they go, and what may go with them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mintonce_server.common.files import FileError
from mintonce_server.config import load, otlp_headers
from support.settings import COMPLETE, issues_of

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A complete config file with these further lines."""

    def written(more: str) -> Path:
        config = tmp_path / "mintonce.toml"
        config.write_text(COMPLETE + more)
        config.chmod(0o600)
        return config

    return written


def test_traces_are_off_unless_an_endpoint_is_set(write: Write) -> None:
    """A standard variable that a platform sets for all of its programs does not switch them on."""
    settings = load(write(""), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"})
    assert settings.tracing.endpoint is None


def test_an_endpoint_is_a_scheme_a_host_and_a_port(write: Write) -> None:
    settings = load(write('[tracing]\nendpoint = "https://otel.example.com:4317/"\nsample_ratio = 0.5'), {})
    assert settings.tracing.endpoint == "https://otel.example.com:4317"
    assert settings.tracing.sample_ratio == 0.5
    from_environment = load(write(""), {"MINTONCE_TRACING__ENDPOINT": "http://[::1]:4317"})
    assert from_environment.tracing.endpoint == "http://[::1]:4317"


@pytest.mark.parametrize(
    ("endpoint", "fault"),
    [
        ("otel.example.com:4317", "OTLP receiver"),
        ("http://otel.example.com", "OTLP receiver"),
        ("grpc://otel.example.com:4317", "OTLP receiver"),
        ("http://otel.example.com:4318/v1/traces", "a path"),
        ("https://user:hidden-canary@otel.example.com:4317", "a password"),
    ],
)
def test_another_endpoint_is_refused_and_not_repeated(write: Write, endpoint: str, fault: str) -> None:
    (issue,) = issues_of(write(f'[tracing]\nendpoint = "{endpoint}"'), {})
    assert fault in issue.what
    assert "hidden-canary" not in str(issue)


@pytest.mark.parametrize("ratio", ["-0.1", "1.1", '"much"'])
def test_a_ratio_lies_between_0_and_1(write: Write, ratio: str) -> None:
    (issue,) = issues_of(write(f"[tracing]\nsample_ratio = {ratio}"), {})
    assert "tracing.sample_ratio" in issue.where


def test_headers_do_not_go_to_another_machine_in_clear(write: Write, tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.touch(mode=0o600)
    headers.write_text("authorization: Bearer x\n")
    more = f'headers_file = "{headers}"'
    (issue,) = issues_of(write(f'[tracing]\nendpoint = "http://otel.example.com:4317"\n{more}'), {})
    assert "unencrypted" in issue.what
    for endpoint in ("https://otel.example.com:4317", "http://127.0.0.1:4317"):
        load(write(f'[tracing]\nendpoint = "{endpoint}"\n{more}'), {})


def test_a_file_of_headers_that_others_can_read_is_refused(write: Write, tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.write_text("authorization: Bearer x\n")
    headers.chmod(0o644)
    config = write(f'[tracing]\nendpoint = "https://otel.example.com:4317"\nheaders_file = "{headers}"')
    (issue,) = issues_of(config, {})
    assert "chmod 600" in issue.remedy


def test_headers_are_lines_of_name_and_value() -> None:
    found = otlp_headers(b"Authorization: Bearer a:b \r\n\r\nX-Tenant:t\n")
    assert [(name, value.reveal()) for name, value in found] == [("authorization", "Bearer a:b"), ("x-tenant", "t")]


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"canary", b"a b: canary", b"a: ", b"a: can\x07ary", b"\xff: x", b"grpc-x: canary", b"x-bin: canary"],
)
def test_other_lines_are_refused_and_not_repeated(data: bytes) -> None:
    with pytest.raises(FileError) as caught:
        otlp_headers(data)
    assert "canary" not in f"{caught.value} {caught.value.remedy}"
