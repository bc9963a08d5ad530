"""Ports that raise, made from the Protocols themselves: a new method is covered without being listed."""

import inspect
import ssl
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Literal, TypeVar, cast

P = TypeVar("P")
When = Literal["before", "after"]

ERRORS: Final[tuple[Callable[[], Exception], ...]] = (
    lambda: RuntimeError("by a test"),
    lambda: KeyError("by a test"),
    lambda: AttributeError("by a test"),
    lambda: RecursionError("by a test"),
    lambda: ValueError("by a test"),
    lambda: ssl.SSLError(1, "by a test"),
    lambda: OSError(5, "by a test"),
    lambda: TimeoutError("by a test"),
    lambda: EOFError("by a test"),
    lambda: AssertionError("by a test"),
    lambda: StopAsyncIteration("by a test"),
    lambda: ExceptionGroup("by a test", [ValueError("x"), OSError("y")]),
)
"""What may come out of a library, whether or not it says so."""


@dataclass(frozen=True, slots=True)
class Point:
    """A method that is awaited, or iterated asynchronously."""

    port: str
    method: str

    def __str__(self) -> str:
        return f"{self.port}.{self.method}"


def protocols(module: ModuleType) -> list[type[Any]]:
    """The Protocols that the module defines, without those that are a part of another one."""
    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and item.__module__ == module.__name__ and getattr(item, "_is_protocol", False)
    ]
    return [item for item in found if not any(item in other.__mro__[1:] for other in found)]


def points(protocol: type[Any]) -> list[Point]:
    """Where the Protocol is awaited."""
    own = {name: item for kind in reversed(protocol.__mro__) for name, item in vars(kind).items()}
    return [Point(protocol.__name__, name) for name, item in own.items() if _is_awaited(item)]


def _is_awaited(item: object) -> bool:
    return inspect.iscoroutinefunction(item) or _gives(item) is Awaitable or _is_iterator(item)


def _is_iterator(item: object) -> bool:
    return _gives(item) in (AsyncIterator, AsyncGenerator)


def _gives(item: object) -> Any:
    """What the function's annotation says that it returns, without parameters."""
    return typing.get_origin(typing.get_type_hints(item).get("return")) if inspect.isfunction(item) else None


class Faults:
    """Which point fails now, and how.

    Attributes:
        hits: how often an error was raised.
    """

    def __init__(self) -> None:
        self.hits = 0
        self._point: Point | None = None
        self._when: When = "before"
        self._error: Callable[[], Exception] = ERRORS[0]
        self._left = 0.0

    @contextmanager
    def at(self, point: Point, when: When, error: Callable[[], Exception], times: float) -> Generator[None]:
        """In this block the point raises, at most so often, before or after it has done its work."""
        self._point, self._when, self._error, self._left = point, when, error, times
        try:
            yield
        finally:
            self._left = 0

    def pass_or_raise(self, point: Point, when: When) -> None:
        """Raise, if it is this point's turn."""
        if self._left > 0 and (point, when) == (self._point, self._when):
            self._left -= 1
            self.hits += 1
            raise self._error()


def faulty(port: P, protocol: type[Any], faults: Faults) -> P:
    """The port, as it is but for the faults."""
    return cast("P", _Faulty(port, protocol, faults))


class _Faulty:
    def __init__(self, port: object, protocol: type[Any], faults: Faults) -> None:
        self._port = port
        self._points = {point.method: point for point in points(protocol)}
        self._iterators = {name for name in self._points if _is_iterator(getattr(protocol, name))}
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._port, name)
        if (point := self._points.get(name)) is None:
            return there
        return self._iterated(there, point) if name in self._iterators else self._awaited(there, point)

    def _awaited(self, there: Callable[..., Any], point: Point) -> Callable[..., Any]:
        async def call(*arguments: Any, **named: Any) -> Any:
            self._faults.pass_or_raise(point, "before")
            answer = await there(*arguments, **named)
            self._faults.pass_or_raise(point, "after")
            return answer

        return call

    def _iterated(self, there: Callable[..., Any], point: Point) -> Callable[..., Any]:
        async def iterate(*arguments: Any, **named: Any) -> AsyncGenerator[Any]:
            items = aiter(there(*arguments, **named))
            try:
                while True:
                    self._faults.pass_or_raise(point, "before")
                    item = await anext(items)
                    self._faults.pass_or_raise(point, "after")
                    yield item
            finally:
                await items.aclose()

        return iterate
