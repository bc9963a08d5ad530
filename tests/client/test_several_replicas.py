"""A target with several addresses: calls are spread over them, and go on when one of them ends."""

from mintonce import TokenClient
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer

SOON = 1.0
"""Seconds for a call, so also to leave a replica that has ended."""


def target(*servers: ScriptedServer) -> str:
    return f"ipv4:{','.join(server.target for server in servers)}"


def ask_until_both_answered(client: TokenClient, one: ScriptedServer, other: ScriptedServer) -> None:
    """The first calls may all go to the one that was connected first."""
    for _ in range(1000):
        client.get(CLIENT, AUDIENCE, timeout=SOON)
        if one.calls["GetToken"] and other.calls["GetToken"]:
            return
    raise AssertionError(f"one replica has all calls: {one.calls}, {other.calls}")


def test_calls_are_spread_over_all_replicas() -> None:
    """By default, for each client: no replica has all callers after a rolling update."""
    with ScriptedServer() as one, ScriptedServer() as other, TokenClient(target(one, other)) as client:
        ask_until_both_answered(client, one, other)


def test_calls_leave_a_replica_that_ends() -> None:
    """None fails, and none waits for longer than a second."""
    with ScriptedServer() as other, ScriptedServer() as one, TokenClient(target(one, other)) as client:
        ask_until_both_answered(client, one, other)
        one.stop()
        for _ in range(20):
            assert client.get(CLIENT, AUDIENCE, timeout=SOON).is_live
