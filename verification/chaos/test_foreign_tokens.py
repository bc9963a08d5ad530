"""A fleet whose callers were given the token of another one is found out."""

from chaos.workload import dated
from history.checker import Call, History, Post, check

API = "https://api.example.com/"


def test_a_token_of_another_issuer_is_a_violation() -> None:
    """Nothing is known of when it was minted: the rule about whose token it is says so, and no other."""
    own = Call("get", "a", API, 10.0, 10.1, 5.0, "OK", generation=1, jti="own", aud=API, expires_at=60.0)
    foreign = Call("get", "a", API, 11.0, 11.1, 5.0, "OK", generation=2, jti="foreign", aud=API, expires_at=60.0)
    posts = [Post(10.0, API, 200, "own")]
    calls = dated([own, foreign], posts)
    assert [call.expires_at for call in calls] == [70.0, 71.1]
    found = check(History(posts=posts, calls=calls, replicas=["a"]))
    assert [violation.rule for violation in found if "foreign" in violation.detail] == ["H4"]
