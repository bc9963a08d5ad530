"""A running testee, and how a case speaks with it."""

import itertools
import json
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final, Self, cast

import pytest

ROOT: Final = Path(__file__).parents[2]
ANSWER_WITHIN: Final = 20.0
"""Seconds for an answer, when the case says nothing else."""
START_WITHIN: Final = 60.0
END_WITHIN: Final = 5.0

Answer = dict[str, Any]

# What would change how a client connects. A case sets what it is about.
_CLEARED: Final = ("MINTONCE_", "http_proxy", "https_proxy", "grpc_proxy", "all_proxy", "no_proxy", "no_grpc_proxy")


@dataclass(eq=False)
class Failed(Exception):
    """The `error` of an answer. Texts are "" where the testee said none."""

    kind: str
    reason: str
    message: str
    remedy: str
    retry_after: float | None
    code: str
    issuer_error: str
    request_id: str
    cause: str
    tokens: tuple[Answer, ...] = ()

    @classmethod
    def of(cls, answer: Answer) -> Self:
        error: Answer = answer["error"]
        after = error.get("retry_after_ms")
        cause: Answer = error.get("cause") or {}
        return cls(
            error["class"],
            error.get("reason") or "",
            error.get("message") or "",
            error.get("remedy") or "",
            None if after is None else after / 1000,
            error.get("code") or "",
            error.get("issuer_error") or "",
            error.get("request_id") or "",
            cause.get("reason", ""),
            tuple(answer.get("tokens", ())),
        )


class Pending:
    """A request under way."""

    def __init__(self, id: int, request: Answer) -> None:
        self.id = id
        self.request = request
        self.sent_at = monotonic()
        self.answered_at = 0.0
        self.answer: Future[Answer] = Future()

    def result(self, within: float = ANSWER_WITHIN) -> Any:
        """What is in `ok`. Raises Failed for an `error`, and skips the case for an `Unsupported`."""
        try:
            answer = self.answer.result(within)
        except TookTooLong:
            pytest.fail(f"no answer within {within} s to {self.request}")
        if "error" in answer:
            failed = Failed.of(answer)
            if failed.kind == "Unsupported":
                pytest.skip(f"unsupported: {failed.message or self.request['op']}")
            raise failed
        return answer["ok"]

    def failure(self, within: float = ANSWER_WITHIN) -> Failed:
        """The error that this request must end with."""
        try:
            result = self.result(within)
        except Failed as failed:
            return failed
        pytest.fail(f"it should have failed: {self.request}; answer: {result}")

    @property
    def is_answered(self) -> bool:
        return self.answer.done()

    @property
    def took(self) -> float:
        """Seconds, once there is an answer."""
        return self.answered_at - self.sent_at


class Testee:
    """A process. Use it in a `with`: leaving it closes stdin, and the process must end by itself."""

    __test__ = False

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.output: list[str] = []
        self._ids = itertools.count(1)
        self._pending: dict[int, Pending] = {}
        self._opened: dict[str, None] = {}
        self._lock = threading.Lock()
        kept = {name: text for name, text in os.environ.items() if not name.lower().startswith(_lowered(_CLEARED))}
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**kept, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._readers = [
            threading.Thread(target=self._read_answers, daemon=True),
            threading.Thread(target=self._read_stderr, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.hello: Answer = self.start("hello").result(START_WITHIN)

    @property
    def features(self) -> frozenset[str]:
        return frozenset(self.hello["features"])

    def adapters(self, kind: str) -> list[str]:
        """Names of its adapters: of `http` or `grpc`."""
        return sorted(name.partition(":")[2] for name in self.features if name.startswith(f"{kind}:"))

    def start(self, op: str, **fields: Any) -> Pending:
        """Send a request, and do not wait for the answer."""
        with self._lock:
            id = next(self._ids)
            request: Answer = {"id": id, "op": op, **_written(fields)}
            pending = self._pending[id] = Pending(id, request)
            if op in ("open", "client_open"):
                self._opened["source:" + fields["source"] if op == "open" else "conn:" + fields["conn"]] = None
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(json.dumps(request) + "\n")
                self._process.stdin.flush()
            except OSError:
                pytest.fail(f"the testee has ended: {self.said()}")
        return pending

    def call(self, op: str, **fields: Any) -> Any:
        """Send a request, and wait for its result."""
        return self.start(op, **fields).result()

    def fails(self, op: str, **fields: Any) -> Failed:
        """Send a request that must fail."""
        return self.start(op, **fields).failure()

    def tidy(self) -> None:
        """Close what is open, for the next case in the same process."""
        with self._lock:
            opened, self._opened = list(self._opened), {}
        for kind, _, name in (each.partition(":") for each in reversed(opened)):
            pending = self.start("close", **{kind: name})
            pending.answer.result(ANSWER_WITHIN)  # which may say that it never was open

    def said(self) -> str:
        """All that it has written, to stdout and stderr."""
        return "\n".join(self.output)

    def end(self, within: float = END_WITHIN) -> None:
        """Close stdin. Fails when the process does not end by itself, or by an error."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the testee has not ended within {within} s after the end of its stdin: {self.said()[-2000:]}")
        self._release()
        assert code == 0, f"the testee ended with {code}: {self.said()[-2000:]}"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._release()

    def _release(self) -> None:
        for reader in self._readers:
            reader.join(5)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                pass  # what was not sent yet goes nowhere

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.kill()
        elif not self.has_ended:
            self.end()

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line.rstrip())
            try:
                answer = json.loads(line)
                pending = self._pending.pop(answer["id"])
            except (ValueError, KeyError, TypeError):
                continue  # it shows when a case fails
            pending.answered_at = monotonic()
            pending.answer.set_result(answer)
        lost = {"error": {"class": "Testee", "message": "the testee has ended"}}
        for pending in list(self._pending.values()):
            pending.answer.set_result(lost)

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.output.append(line.rstrip())


def _written(fields: Mapping[str, Any]) -> Answer:
    """Paths as text, also inside; what is None is left out."""
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return _written(cast("Answer", value))
    return value


def _lowered(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)
