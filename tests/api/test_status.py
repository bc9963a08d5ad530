"""The error table: one error, one status, and everything that a caller needs to act on it."""

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from mintonce.v1 import types_pb2
from mintonce_server.api.status import CODES, status_of
from mintonce_server.core.errors import AuditUnavailable, IssuerRefused, MintonceError, Reason, StoreUnavailable


def test_the_protos_and_core_know_the_same_reasons() -> None:
    """ErrorReason is for generated clients, Reason for the server: one list."""
    names = {name.removeprefix("ERROR_REASON_") for name in types_pb2.ErrorReason.keys()}  # noqa: SIM118 - no dict
    assert names - {"UNSPECIFIED"} == {reason.name for reason in Reason}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_status(reason: Reason) -> None:
    """No error leaves as UNKNOWN."""
    assert reason in CODES


def test_a_status_tells_reason_remedy_request_id_and_the_issuers_code() -> None:
    """In google.rpc.ErrorInfo, where every language's gRPC library finds them."""
    error = IssuerRefused(
        "the issuer says no", remedy="Mend the secret.", retry_after=30.0, issuer_error="invalid_client"
    )
    status = status_of(error, "r-1")
    info, retry = ErrorInfo(), RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (info.domain, info.reason) == ("mintonce", "ISSUER_REFUSED")
    assert dict(info.metadata) == {
        "remedy": "Mend the secret.",
        "request_id": "r-1",
        "issuer_error": "invalid_client",
    }
    assert retry.retry_delay.seconds == 30


def test_a_remedy_for_those_who_run_the_server_is_not_for_callers() -> None:
    """It names a file on the server."""
    status, info = status_of(AuditUnavailable("full", remedy="Free space for /var/log/audit.jsonl."), "r"), ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.metadata["remedy"] == "Try again later. The server's log says what those who run it must do."


def test_retry_info_is_there_only_when_a_repetition_may_help() -> None:
    """A caller must not hammer what only a person can mend."""
    assert len(status_of(MintonceError("x", remedy="y"), "r").details) == 1
    assert len(status_of(StoreUnavailable("x", remedy="y", retry_after=0.5), "r").details) == 2


def test_nothing_in_a_status_can_command_a_terminal_and_all_of_it_has_a_bound() -> None:
    """Should a text of an issuer or a store get this far: this is the last edge."""
    hostile = "x\x1b[2J\r\n\u202e\ud800" + "y" * 100_000
    error = IssuerRefused(hostile, remedy=hostile, retry_after=1e300, issuer_error=hostile)
    status = status_of(error, "r-1")
    info, retry = ErrorInfo(), RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    texts = [status.message, *info.metadata.values()]
    assert all(text.isprintable() for text in texts)
    assert sum(map(len, texts)) < 3000
    assert 0 < retry.retry_delay.seconds <= 86_400
