"""Makes histories up, a sentence a line, so that a test of the checker reads as a story."""

from dataclasses import dataclass, replace
from typing import Any

from history.checker import Bounds, Call, End, Fault, History, Post, Step, check

API = "https://api.example.com/"
REPLICAS = ("a", "b", "c")


@dataclass(frozen=True, slots=True)
class Made:
    """A token of a story."""

    generation: int
    jti: str
    expires_at: float


class Tale:
    """Of one key, unless told otherwise. Times are seconds; a POST takes 0.2 s and a commit 0.01 s."""

    def __init__(self, audience: str = API, history: History | None = None) -> None:
        self.audience = audience
        self.history = history or History(bounds=Bounds(), replicas=REPLICAS)

    def post(self, at: float, jti: str = "", status: int = 200) -> None:
        """The issuer was asked."""
        self.history.posts.append(Post(at, self.audience, status, jti))

    def step(self, at: float, replica: str, event: str, generation: int, **more: Any) -> None:
        """A replica logged something."""
        self.history.steps.append(Step(at, replica, event, f"h:{self.audience}", generation, self.audience, **more))

    def started(self, replica: str, at: float, generation: int = 0, *, life: float = 100.0) -> Made:
        """The POST was sent and counted; what became of it stands elsewhere, or is unknown."""
        made = Made(generation or int(at * 1000), f"jti-{len(self.history.posts)}", at + life)
        self.step(at, replica, "mint_started", made.generation)
        self.post(at + 0.01, made.jti)
        return made

    def minted(self, replica: str, at: float, generation: int = 0, *, life: float = 100.0) -> Made:
        """The issuer gave a token; it was not committed."""
        made = self.started(replica, at, generation, life=life)
        self.step(at + 0.2, replica, "minted", made.generation, lifetime=life)
        return made

    def mint(self, replica: str, at: float, generation: int = 0, *, life: float = 100.0) -> Made:
        """A mint as it should be: committed at `at` + 0.21."""
        made = self.minted(replica, at, generation, life=life)
        self.step(at + 0.21, replica, "committed", made.generation)
        return made

    def alone(self, replica: str, at: float, generation: int = 0, *, life: float = 100.0) -> Made:
        """A mint without the store, under a provisional generation that lies ahead of the clock."""
        made = Made(generation or int((at + 20.0) * 1000), f"jti-{len(self.history.posts)}", at + life)
        self.step(at, replica, "mint_started", made.generation, detail="outage")
        self.post(at + 0.01, made.jti)
        self.step(at + 0.2, replica, "minted", made.generation, lifetime=life)
        return made

    def adopted(self, replica: str, made: Made, at: float, generation: int = 0) -> Made:
        """The store is back and gave the token a number of its own, above the provisional one."""
        numbered = replace(made, generation=generation or made.generation + 1)
        self.step(at, replica, "adopted", numbered.generation, provisional=made.generation)
        return numbered

    def reissued(self, replica: str, made: Made, at: float, generation: int = 0) -> Made:
        """The issuer handed out a rejected token once more; it was committed all the same."""
        again = replace(made, generation=generation or int(at * 1000))
        self.step(at, replica, "mint_started", again.generation)
        self.post(at + 0.01, made.jti)
        self.step(at + 0.2, replica, "minted", again.generation)
        self.step(at + 0.21, replica, "committed", again.generation)
        self.step(at + 0.21, replica, "issuer_reissued_rejected_token", again.generation)
        return again

    def repeated(self, replica: str, made: Made, at: float) -> None:
        """The issuer handed out the live token once more when a successor was asked for."""
        generation = int(at * 1000)
        self.step(at, replica, "mint_started", generation)
        self.post(at + 0.01, made.jti)
        self.step(at + 0.2, replica, "issuer_repeated_token", generation)

    def refused(self, replica: str, at: float, generation: int = 0, why: str = "REJECTED", took: float = 0.2) -> Made:
        """A mint whose token does not count."""
        made = self.minted(replica, at, generation)
        self.step(at + took + 0.01, replica, "commit_refused", made.generation, detail=why)
        return made

    def failed(self, replica: str, at: float, retry_after: float, generation: int = 0) -> None:
        """The issuer gave none; no replica asks until `at` + 0.2 + `retry_after`."""
        generation = generation or int(at * 1000)
        self.step(at, replica, "mint_started", generation)
        self.post(at + 0.01, status=503)
        self.step(at + 0.2, replica, "mint_failed", generation, retry_after=retry_after)

    def get(self, replica: str, made: Made, at: float, *, took: float = 0.01, **more: Any) -> Call:
        """A caller was given this token."""
        call = Call(
            "get", replica, self.audience, at, at + took, 10.0, "OK", generation=made.generation, jti=made.jti,
            aud=self.audience, expires_at=made.expires_at, origin="MEMORY",
        )  # fmt: skip
        self.history.calls.append(replace(call, **more))
        return self.history.calls[-1]

    def watched(self, replica: str, made: Made, at: float) -> None:
        """A watch brought this token at this time."""
        call = self.get(replica, made, at, took=0.0)
        self.history.calls[-1] = replace(call, op="watch", deadline=0.0)

    def miss(self, replica: str, at: float, status: str = "UNAVAILABLE", *, took: float = 0.01, **more: Any) -> None:
        """A caller was given none."""
        call = Call("get", replica, self.audience, at, at + took, 10.0, status, "STORE_UNAVAILABLE", 1.0)
        self.history.calls.append(replace(call, **more))

    def reject(self, replica: str, made: Made, at: float, *, was_current: bool = True, status: str = "OK") -> None:
        """A caller said that this token was refused; acknowledged at `at` + 0.01."""
        answer = was_current if status == "OK" else None
        reason, retry = ("", None) if status == "OK" else ("STORE_UNAVAILABLE", 1.0)
        if status == "INVALID_ARGUMENT":
            reason, retry = "INVALID_REQUEST", None
        self.history.calls.append(
            Call("reject", replica, self.audience, at, at + 0.01, 10.0, status, reason, retry, made.generation,
                 was_current=answer)
        )  # fmt: skip

    def fault(self, kind: str, began: float, ended: float, target: str = "", **flags: bool) -> None:
        """Something was broken, from `began` until `ended`."""
        self.history.faults.append(Fault(kind, began, ended, target, **flags))

    def end(self, at: float, replica: str, how: str = "exit code 1") -> None:
        """A process ended by itself."""
        self.history.ends.append(End(at, replica, how))

    def broken(self) -> list[str]:
        """Which promises the checker holds to be broken."""
        return sorted({violation.rule for violation in check(self.history)})
