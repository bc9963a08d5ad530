"""The cause of an exception of redis-py. Nothing of the server's text is repeated but command names."""

import asyncio

import pytest
from redis import exceptions

from mintonce_server.common.causes import DEEPEST, chain
from mintonce_server.store.causes import NoSlots, lacking, misplaced, store_cause

NAME = "the store at redis:6379"
SECRET = "a-secret"


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (exceptions.ReadOnlyError(SECRET), "is a replica"),
        (exceptions.MovedError("1 host:1"), "belongs to a Cluster"),
        (exceptions.OutOfMemoryError(SECRET), "has no memory left"),
        (exceptions.BusyLoadingError(SECRET), "is still loading"),
        (exceptions.MasterDownError(SECRET), "has lost its primary"),
        (exceptions.ClusterDownError(SECRET), "some slots have no server"),
        (exceptions.ConnectionError("max number of clients reached"), "accepts no more connections"),
        (exceptions.AuthenticationError(SECRET), "refused our user name or password"),
        (exceptions.AuthenticationError("Authentication required."), "requires a password, and redis.url has none"),
        (
            exceptions.AuthenticationError(
                "AUTH <password> called without any password configured for the default user"
            ),
            "has no password, but redis.url has one",
        ),
        (exceptions.ResponseError("DB index is out of range"), "has no database with the number in redis.url"),
        (exceptions.ResponseError("SELECT is not allowed in cluster mode"), "belongs to a Cluster"),
        (NoSlots("a server"), "no server has slots"),
        (exceptions.ConnectionError("Connection closed by server."), "hung up"),
        (exceptions.ResponseError(f"MISCONF {SECRET}"), "cannot write to its disk"),
        (exceptions.ResponseError(f"NOREPLICAS {SECRET}"), "too few replicas"),
        (exceptions.ResponseError(f"BUSY {SECRET}"), "busy with another client's script"),
        (exceptions.ResponseError(f"STRANGE {SECRET}"), "answered with STRANGE"),
        (exceptions.ResponseError(SECRET), "answered with ResponseError"),
        (exceptions.ResponseError(f"unknown command 'EVALSHA', with args beginning with: '{SECRET}'"), "a Sentinel"),
        (exceptions.InvalidResponse("Protocol Error: b'HTTP/1.1 400 a-secret'"), "is an HTTP server"),
        (exceptions.InvalidResponse("Protocol Error: b'\\x15\\x03\\x03\\x00'"), "wants TLS"),
        (exceptions.InvalidResponse(f"Protocol Error: b'{SECRET}'"), "does not speak the Redis protocol"),
        (exceptions.ConnectionError(SECRET), "cannot be reached (ConnectionError)"),
        (exceptions.NoPermissionError("User u has no permissions to run the 'a|secret' command"), "right to a|secret"),
        (exceptions.NoPermissionError(f"No permissions to access the '{SECRET}' channel"), "the wake channel"),
    ],
)
def test_each_cause_has_its_words(error: Exception, what: str) -> None:
    """With a remedy, and without the server's text."""
    cause = store_cause(error, NAME, 0.25)
    assert what in cause.what
    assert NAME in cause.what
    assert cause.remedy
    assert SECRET not in cause.what + cause.remedy


def test_what_a_timeout_interrupted_is_not_its_cause() -> None:
    """A moving slot makes servers answer "try again" until the deadline: the store did not answer in time."""
    interrupted = asyncio.CancelledError()
    interrupted.__context__ = exceptions.TryAgainError("while a slot moves")
    late = TimeoutError()
    late.__cause__ = interrupted
    assert store_cause(late, NAME, 0.25).what == f"{NAME} did not answer within 0.25 s"


def test_a_chain_has_an_end() -> None:
    """Exceptions that are each other's context."""
    first, second = ValueError(), ValueError()
    first.__context__, second.__context__ = second, first
    assert len(list(chain(first))) == DEEPEST


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("User u has no permissions to run the 'evalsha' command", "+evalsha"),
        ("User u has no permissions to run the 'cluster|slots' command", "+cluster|slots"),
        ("User u has no permissions to run the 'x\x1b[2J' command", "command"),
        ("No permissions to access a channel", "channel"),
        ("No permissions to access a key", "key"),
    ],
)
def test_a_right_that_is_missing_is_read_from_the_answer(text: str, right: str) -> None:
    """Only if the server's text looks like a command; also from inside a script."""
    assert lacking(exceptions.NoPermissionError(text)) == right
    assert lacking(exceptions.ResponseError(f"ACL failure in script: {text} script: on @user_script:1.")) == right
    assert lacking(exceptions.ResponseError("OOM")) == ""


@pytest.mark.parametrize(
    ("what", "right"),
    [
        ("run this command or subcommand", "command"),
        ("access at least one of the keys mentioned in the command arguments", "key"),
        ("publish to the channel mentioned in the command", "channel"),
    ],
)
def test_older_servers_name_the_right_in_other_words(what: str, right: str) -> None:
    """Redis before 7.2; in the answer of a script."""
    assert lacking(exceptions.ResponseError(f"The user executing the script can't {what} script: {'0' * 40}")) == right


@pytest.mark.parametrize(
    ("kind", "mode", "role", "what"),
    [
        ("single", "standalone", "master", None),
        ("cluster", "cluster", "master", None),
        ("single", "", "", None),
        ("single", "sentinel", "", "is a Sentinel"),
        ("single", "cluster", "master", "belongs to a Cluster"),
        ("sentinel", "cluster", "master", "belongs to a Cluster"),
        ("single", "standalone", "replica", "is a replica"),
        ("single", "standalone", "slave", "is a replica"),
    ],
)
def test_a_server_of_another_kind_is_known_by_its_greeting(kind: str, mode: str, role: str, what: str | None) -> None:
    """By the answer to HELLO, which every user may send."""
    cause = misplaced(NAME, kind, mode, role)
    assert (cause is None) if what is None else (cause is not None and what in cause.what)
