"""Makes conformance/follower/ from Python's follower (--write), or says whether it is current.

A line is a case: a token to begin with, then events, each with what the follower returns, its next step and its state
afterwards. The clients of all languages replay them (conformance/follower/README.md has the format). The events are a
seeded random walk over what can happen to a source. Of many walks those are kept that show something new.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias, TypeVar

import grpc
from follower_edges import EDGES

from mintonce._follow import Fetch, Follower, Pause, Report, Step, Watch
from mintonce.errors import MintonceError
from mintonce.token import Token

FOLDER: Final = Path(__file__).parent.parent / "conformance" / "follower"
WALKS: Final = 4000
CASES: Final = 23
"""At most so many for a theme."""
PRIVATE: Final = ("fetch_at", "watch_at", "fetch_failures", "watch_failures", "wanted_report", "rejected")

Case: TypeAlias = dict[str, Any]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Theme:
    """How likely things are. The rest of the time all goes well, and callers only read.

    Attributes:
        failure: that a call fails.
        caller: that a caller does something: waits, or rejects a token.
        odd: that a token is not just the next one: older, the same again, over, or of an unusual life.
        jump: that the clock stands still for the program, or the program for the clock, until near the token's end.
        lives: of tokens, in seconds.
    """

    failure: float
    caller: float
    odd: float
    jump: float
    lives: tuple[float, ...]


THEMES: Final[Mapping[str, Theme]] = {
    "rotation": Theme(0.05, 0.1, 0.15, 0.05, (20.0, 300.0, 3600.0, 86400.0)),
    "watch": Theme(0.6, 0.05, 0.1, 0.0, (300.0, 3600.0, 86400.0)),
    "outage": Theme(0.85, 0.25, 0.1, 0.35, (2.0, 20.0, 300.0)),
    "rejection": Theme(0.3, 0.6, 0.2, 0.15, (20.0, 300.0, 3600.0)),
    "odd": Theme(0.35, 0.3, 0.8, 0.25, (0.5, 2.0, 60.0, 3600.0, 1e6)),
}

# reason, gRPC code, retry_after
FAILURES: Final[tuple[tuple[str, str, float | None], ...]] = (
    ("UNREACHABLE", "UNAVAILABLE", None),
    ("UNREACHABLE", "UNAVAILABLE", None),
    ("DRAINING", "UNAVAILABLE", 0.0),
    ("STORE_UNAVAILABLE", "UNAVAILABLE", 1.0),
    ("ISSUER_THROTTLED", "UNAVAILABLE", 20.25),
    ("ISSUER_THROTTLED", "UNAVAILABLE", 3600.0),
    ("ISSUER_REFUSED", "FAILED_PRECONDITION", 60.0),
    ("ROTATION_TOO_SOON", "RESOURCE_EXHAUSTED", 4.5),
    ("UNKNOWN_CLIENT", "NOT_FOUND", None),
    ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", None),
    ("WAIT_TIMED_OUT", "DEADLINE_EXCEEDED", 0.5),
    ("UNIMPLEMENTED", "UNIMPLEMENTED", None),
    ("INTERNAL", "INTERNAL", None),
)


def token_of(fields: Mapping[str, Any]) -> Token:
    """A token with only what the follower looks at."""
    return Token("text", "Bearer", (), expire_time=datetime(2030, 1, 1, tzinfo=UTC), **fields)


def error_of(fields: Mapping[str, Any] | None) -> MintonceError | None:
    """An error with only what the follower looks at."""
    if fields is None:
        return None
    reason, retry_after, code = fields["reason"], fields["retry_after"], grpc.StatusCode[fields["code"]]
    return MintonceError("failed", reason=reason, retry_after=retry_after, code=code)


class Player:
    """A follower that lives through events."""

    def __init__(self, token: Mapping[str, Any], now: float, jitter: float) -> None:
        self._jitter = jitter
        self.follower = Follower(token_of(token), now, lambda: self._jitter)

    def play(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """What is expected after the event."""
        self._jitter, now = event["jitter"], event["now"]
        try:
            result = self._do(event, now)
        except MintonceError as error:
            result = {"error": error.reason}
        step = self.follower.next(now)
        return {"result": result, "step": _shown_step(step), "state": self.state(now)}

    def state(self, now: float) -> dict[str, Any]:
        """All that the follower knows."""
        follower = self.follower
        last, report = follower.last_error, follower.report_error
        return {
            "token": _generation(follower.token),
            "live": _generation(follower.live(now)),
            "last_error": last.reason if last else None,
            "report_error": report.reason if report else None,
            "setbacks": follower.setbacks,
            "report_setbacks": follower.report_setbacks,
            **{name: _rounded(getattr(follower, f"_{name}")) for name in (*PRIVATE, "blocked_until")},
        }

    def _do(self, event: Mapping[str, Any], now: float) -> object:
        follower = self.follower
        match event["do"]:
            case "offer" | "fetched" as name:
                accepted: bool = getattr(follower, name)(token_of(event["token"]), now)
                return accepted
            case "fetch_failed" | "report_failed" as name:
                getattr(follower, name)(error_of(event["error"]), now)
            case "watch_ended":
                follower.watch_ended(error_of(event["error"]), event["started_at"], event["limit"], now)
            case "want_report":
                follower.want_report(event["generation"], now)
            case "successor":
                return _generation(follower.successor(event["generation"], now))
            case "reported":
                follower.reported(event["generation"], now)
            case "hurry":
                follower.hurry(now)
            case "look":
                pass
            case unknown:
                raise ValueError(unknown)
        return None


class Walk:
    """One random life of a source."""

    def __init__(self, name: str, theme: Theme) -> None:
        self._rng = Random(name)
        self._theme = theme
        self._now = self._pick((0.0, 1000.0, 86400.5)) + self._seconds(10.0)
        self._newest = self._pick((1, 100, 100, 4_294_967_300))
        first = self._token(self._newest)
        jitter = self._draw()
        self._player = Player(first, self._now, jitter)
        self._token_ends = first["expires_at"]
        self.is_close = False
        self.case: Case = {"name": name, "token": first, "now": self._now, "jitter": jitter, "events": []}

    def run(self, events: int) -> Case:
        for _ in range(events):
            if self._odds(self._theme.jump):
                self._to(self._border())
            self._add(**(self._of_caller() if self._odds(self._theme.caller) else self._of_step()))
        return self.case

    def _border(self) -> float:
        """A time about which something changes."""
        state = self._player.state(self._now)
        border: float = self._pick((self._token_ends, self._token_ends, state["blocked_until"], state["fetch_at"]))
        return border + self._pick((-0.001, 0.0, 0.0, 0.001, 30.0))

    def _add(self, **event: Any) -> None:
        do = event.pop("do")
        whole = {"do": do, "now": self._now, "jitter": self._draw(), **event}
        self.is_close |= self._near_border()
        whole["expect"] = self._player.play(whole)
        self.is_close |= self._near_border()
        self.case["events"].append(whole)
        if whole["expect"]["result"] is True:
            self._token_ends = event["token"]["expires_at"]

    def _near_border(self) -> bool:
        """Whether it is a rounding error that decides: a client that counts in nanoseconds would differ."""
        follower = self._player.follower
        borders = [getattr(follower, f"_{name}") for name in ("fetch_at", "watch_at", "blocked_until")]
        borders += [follower.token.expires_at] if follower.token else []
        return any(0 < abs(border - self._now) < 1e-6 for border in borders)

    def _of_caller(self) -> dict[str, Any]:
        self._to(self._now + self._seconds(1.0))
        held = self._pick((self._newest, self._newest, self._newest - 1, self._newest + 1))
        match self._pick(("want_report", "want_report", "hurry", "hurry", "successor", "look")):
            case "want_report" | "successor" as do:
                return {"do": do, "generation": held}
            case do:
                return {"do": do}

    def _of_step(self) -> dict[str, Any]:
        """What comes of doing what the follower wants done."""
        match self._player.follower.next(self._now):
            case Report(generation):
                self._to(self._now + self._seconds(2.0))
                if self._fails():
                    return {"do": "report_failed", "error": self._error()}
                return {"do": "reported", "generation": generation}
            case Fetch():
                self._to(self._now + self._seconds(10.0))
                if self._fails():
                    return {"do": "fetch_failed", "error": self._error()}
                return {"do": "fetched", "token": self._some_token()}
            case Watch(limit):
                return self._of_watch(round(limit, 3))
            case Pause(seconds):
                self._to(self._now + seconds * self._pick((0.5, 1.0, 1.0)))
                return {"do": "look"}

    def _of_watch(self, limit: float) -> dict[str, Any]:
        started_at = self._now
        if not self._fails() and self._odds(0.6):
            self._to(started_at + min(limit, self._pick((0.01, 1.0, 60.0, 600.0))))
            return {"do": "offer", "token": self._some_token()}
        end = self._pick((limit, limit, limit - 0.05, limit - 0.2, 0.5, 29.9, 30.0, 45.0))
        self._to(started_at + min(max(end, 0.0), limit + 1.0))
        error = self._error() if self._fails() else None
        if end >= limit - 0.2 and self._odds(0.7):
            error = {"reason": "DEADLINE_EXCEEDED", "retry_after": None, "code": "DEADLINE_EXCEEDED"}
        return {"do": "watch_ended", "error": error, "started_at": started_at, "limit": limit}

    def _some_token(self) -> dict[str, Any]:
        if self._odds(self._theme.odd):
            generation = self._newest + self._pick((-1, -1, 0, 0, 1, 7))
        else:
            generation = self._newest + 1
        self._newest = max(self._newest, generation)
        return self._token(max(generation, 1))

    def _token(self, generation: int) -> dict[str, Any]:
        life = self._pick(self._theme.lives) * (0.5 + self._rng.random() / 2)
        refresh_in = life * 0.9
        if self._odds(self._theme.odd / 2):
            life = self._pick((-1.0, 0.0, life))
            refresh_in = self._pick((-5.0, 0.0, life - 0.5, life, life + 60.0))
        expires_at, refresh_at = self._now + life, self._now + refresh_in
        return {"generation": generation, "expires_at": round(expires_at, 3), "refresh_at": round(refresh_at, 3)}

    def _error(self) -> dict[str, Any]:
        reason, code, retry_after = self._pick(FAILURES)
        return {"reason": reason, "retry_after": retry_after, "code": code}

    def _fails(self) -> bool:
        return self._odds(self._theme.failure)

    def _odds(self, chance: float) -> bool:
        return self._rng.random() < chance

    def _draw(self) -> float:
        return self._pick((0.0, 0.25, 0.5, 0.75, round(self._rng.random(), 3), 0.999))

    def _seconds(self, most: float) -> float:
        return self._pick((0.0, round(most * self._rng.random(), 3)))

    def _to(self, when: float) -> None:
        self._now = max(self._now, round(when, 3))

    def _pick(self, values: tuple[Value, ...]) -> Value:
        # random() alone gives the same in every version of Python.
        return values[int(self._rng.random() * len(values))]


def cases(name: str) -> Iterator[Case]:
    """Of a theme: walks that show something that none before them has shown."""
    seen: set[object] = set()
    kept = 0
    for number in range(WALKS):
        walk = Walk(f"{name}-{number}", THEMES[name])
        case = walk.run(7)
        new = set[object]() if walk.is_close else _shown(case) - seen
        # Early on everything is new: later cases need less to be worth their room.
        if len(new) >= (4 if number < 100 else 3 if number < 600 else 2):
            seen |= new
            kept += 1
            yield case
        if kept == CASES:
            return


def _scripted(name: str, script: list[tuple[float, dict[str, Any]]], jitter: float) -> Case:
    first = {"generation": 1, "expires_at": 1000.0, "refresh_at": 900.0}
    player = Player(first, 0.0, jitter)
    events: list[dict[str, Any]] = []
    for now, what in script:
        event = {"do": what["do"], "now": now, "jitter": jitter, **what}
        events.append({**event, "expect": player.play(event)})
    return {"name": name, "token": first, "now": 0.0, "jitter": jitter, "events": events}


def texts() -> dict[str, str]:
    """What the files hold, by name."""
    themes = {"edges": (_scripted(*edge) for edge in EDGES), **{name: cases(name) for name in THEMES}}
    return {
        f"{name}.jsonl": "".join(json.dumps(case, separators=(",", ":")) + "\n" for case in made)
        for name, made in themes.items()
    }


def _shown(case: Case) -> set[object]:
    """What a case shows: for each event its kind and its effect, without the numbers."""
    player = Player(case["token"], case["now"], case["jitter"])
    shown: set[object] = set()
    for event in case["events"]:
        now, error, before = event["now"], event.get("error"), player.state(event["now"])
        expected = player.play(event)
        after = expected["state"]
        changed = frozenset(field for field in after if after[field] != before[field])
        waits = (before["fetch_failures"] > 0, now < before["fetch_at"])
        effect = (event["do"], str(expected["result"]) if event["do"] != "successor" else expected["result"] is None)
        shown.add((*effect, error and error["code"], error and error["retry_after"], changed))
        shown.add((*effect, expected["step"]["do"], before["live"] is None, before["token"] is None, waits))
        shown.add((*effect, changed, _order(now, before["blocked_until"]), _order(now, before["fetch_at"])))
    return shown


def _order(one: float, other: float) -> int:
    return (one > other) - (one < other)


def _shown_step(step: Step) -> dict[str, Any]:
    match step:
        case Report(generation):
            return {"do": "report", "generation": generation}
        case Fetch():
            return {"do": "fetch"}
        case Watch(limit):
            return {"do": "watch", "limit": _rounded(limit)}
        case Pause(seconds):
            return {"do": "pause", "seconds": _rounded(seconds)}


def _generation(token: Token | None) -> int | None:
    return token.generation if token else None


def _rounded(value: float) -> float:
    return round(value, 9)


def main() -> int:
    """0 if the files are current, or were made so."""
    made = {FOLDER / name: text for name, text in texts().items()}
    if "--write" in sys.argv[1:]:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for path in set(FOLDER.glob("*.jsonl")) - set(made):
            path.unlink()
        for path, text in made.items():
            path.write_text(text)
        return 0
    stale = [path.name for path, text in made.items() if not path.exists() or path.read_text() != text]
    stale += [path.name for path in sorted(FOLDER.glob("*.jsonl")) if path not in made]
    for name in stale:
        print(f"conformance/follower/{name} is not what Python's follower gives: run make gen")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
