"""docs/reference/client.md: its numbers and tables are those of the code."""

import re
from pathlib import Path
from typing import Any

import grpc

from mintonce import _channel, _files, _follow, _translate, _unreachable, credentials
from mintonce.v1.types_pb2 import ErrorReason

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "client.md").read_text()
SERVICE_CONFIG: Any = _channel._SERVICE_CONFIG
RETRIES = SERVICE_CONFIG["methodConfig"][0]["retryPolicy"]
OPTIONS = dict(_channel.OPTIONS)
NUMBERS = {
    "TIMEOUT": _channel.DEFAULT_TIMEOUT,
    "RETRY_ATTEMPTS": RETRIES["maxAttempts"],
    "RETRY_WAIT": float(RETRIES["initialBackoff"].removesuffix("s")),
    "RETRY_WAIT_MAX": float(RETRIES["maxBackoff"].removesuffix("s")),
    "THROTTLE_TOKENS": SERVICE_CONFIG["retryThrottling"]["maxTokens"],
    "THROTTLE_RATIO": SERVICE_CONFIG["retryThrottling"]["tokenRatio"],
    "KEEPALIVE_TIME": OPTIONS["grpc.keepalive_time_ms"] / 1000,
    "KEEPALIVE_TIMEOUT": OPTIONS["grpc.keepalive_timeout_ms"] / 1000,
    "RECONNECT_MIN": OPTIONS["grpc.initial_reconnect_backoff_ms"] / 1000,
    "RECONNECT_MAX": OPTIONS["grpc.max_reconnect_backoff_ms"] / 1000,
    **{name: value for name, value in vars(_follow).items() if name.isupper()},
    "FILE_INTERVAL": _files.LOOK_EVERY,
    "FILE_MAX": _files.LARGEST,
    "BEARER_MAX": credentials._LONGEST,
    "TEXT_MAX": _translate._LONGEST_TEXT,
    "REASON_MAX": _translate._LONGEST_NAME,
    "DETAILS_MAX": _unreachable.MAX_DETAILS,
}


def rows(header: str) -> list[list[str]]:
    """The cells of the table below a header line."""
    lines = PAGE.split(header, 1)[1].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([A-Z_]+)`", cell))


def test_the_numbers_are_those_of_the_code() -> None:
    """All of them, and no others."""
    assert {name.strip("`"): float(value) for name, value, _ in rows("| Name | Value | |")} == NUMBERS


def test_every_number_that_the_text_speaks_of_is_in_the_table() -> None:
    """And every number of the table is spoken of."""
    text = PAGE.partition("## Numbers")[0]
    assert {name for name in NUMBERS if not re.search(rf"\b{name}\b", text)} == set()


def test_the_classes_of_reasons_and_codes_are_those_of_the_code() -> None:
    """Each reason of the API has one."""
    refused, unavailable, base = rows("| Class | Reasons | Codes")
    assert names(refused[1]) == _translate._REFUSALS
    assert names(unavailable[1]) == _translate._PASSING
    assert names(base[1]) == _translate._NEITHER
    assert {grpc.StatusCode[name] for name in names(refused[2])} == _translate._REFUSAL_CODES
    assert {grpc.StatusCode[name] for name in names(unavailable[2])} == _translate._PASSING_CODES
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118 - it is no dict
    assert reasons - {"UNSPECIFIED"} == _translate._REFUSALS | _translate._PASSING | _translate._NEITHER


def test_the_variables_are_those_of_the_code() -> None:
    """With the target's default."""
    table = rows("| What | Variable | If absent |")
    variables = {value for name, value in vars(credentials).items() if name.isupper() and str(value).startswith("MINT")}
    assert {variable.strip("`") for _, variable, _ in table} == {_channel.TARGET_VARIABLE, *variables}
    assert table[0][2] == f"`{_channel.DEFAULT_TARGET}`"


def test_the_codes_that_are_repeated_are_named() -> None:
    """As gRPC's service config has them."""
    (sentence,) = re.findall(r"Calls are repeated after .*?:", PAGE, re.DOTALL)
    assert names(sentence) == set(RETRIES["retryableStatusCodes"])
