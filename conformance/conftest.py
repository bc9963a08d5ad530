"""Runs each case once for every testee, and notes how it went."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from typing import Final

import pytest

from conformance.harness import languages, results
from conformance.harness.kit import Serve, Start
from conformance.harness.languages import Language
from conformance.harness.testee import Testee
from conformance.servers.scripted import Scripted
from support.leaks import LeakChecker

_TESTEES: Final = pytest.StashKey[list[Language]]()
_RUNNING: Final = pytest.StashKey[dict[str, Testee]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make conformance` may be told."""
    group = parser.getgroup("conformance")
    group.addoption(
        "--testee", action="append", metavar="LANGUAGE|NAME=COMMAND", help="run the cases for this one only"
    )
    group.addoption("--conformance-results", metavar="FILE", help="write how each case went, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Results are collected by the process that prints: with pytest-xdist, not by its workers."""
    if not hasattr(config, "workerinput") and (file := config.getoption("--conformance-results", default=None)):
        config.pluginmanager.register(results.Recorder(file, _chosen(config)), "conformance-results")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that has the argument `language` runs for each that is here."""
    if "language" in metafunc.fixturenames:
        here = [language for language in _chosen(metafunc.config) if language.is_here]
        metafunc.parametrize("language", here, ids=lambda language: language.name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Names the languages that were left out, and why."""
    for language in _chosen(config):
        if not language.is_here:
            terminalreporter.write_line(f"left out: {language.name}: {language.why_not}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones begin one by one, in the first three quarters: they mostly wait while the others compute."""
    slow = [item for item in items if item.get_closest_marker("slow") is not None]
    others = [item for item in items if item not in slow]
    step = len(others) * 3 // 4 // max(1, len(slow))
    items.clear()
    for number, item in enumerate(sorted(slow, key=_limit, reverse=True)):
        items += [item, *others[number * step : (number + 1) * step]]
    items += others[len(slow) * step :]


def _limit(item: pytest.Item) -> float:
    """Seconds; more for what takes longer."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker is not None else 0.0


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Ends the shared testees."""
    for testee in session.config.stash.get(_RUNNING, dict[str, Testee]()).values():
        testee.kill()


def _chosen(config: pytest.Config) -> list[Language]:
    """Those of --testee, else of all languages."""
    if _TESTEES not in config.stash:
        said: list[str] = config.getoption("--testee", default=None) or []
        config.stash[_TESTEES] = [
            languages.named(each) if "=" in each else languages.find(each) for each in said or languages.NAMES
        ]
    return config.stash[_TESTEES]


@pytest.fixture
def everyone(request: pytest.FixtureRequest) -> list[Language]:
    """All languages whose testees are here, for the case in which they work together."""
    return [language for language in _chosen(request.config) if language.is_here]


@pytest.fixture
def command(language: Language, record_property: Callable[[str, object], None]) -> tuple[str, ...]:
    """What starts the language's testee."""
    record_property("language", language.name)
    return language.command


@pytest.fixture
def servers() -> list[Scripted]:
    """Those that the test has started: no output may show their tokens."""
    return []


@pytest.fixture
def canaries() -> list[str]:
    """Other secrets that no output may show, such as bearers. A test adds its own."""
    return []


@pytest.fixture
def serve(servers: list[Scripted]) -> Iterator[Serve]:
    """Starts scripted servers. All of them end with the test."""
    with ExitStack() as stack:

        def run(*how: object, **first: object) -> Scripted:
            servers.append(stack.enter_context(Scripted(*how, **first)))  # type: ignore[arg-type]
            return servers[-1]

        yield run


@pytest.fixture
def server(serve: Serve) -> Scripted:
    return serve()


@pytest.fixture
def start(command: tuple[str, ...], serve: Serve, servers: list[Scripted], canaries: list[str]) -> Iterator[Start]:
    """Starts testees of the test's own. They must end by themselves when the test is over."""
    started: list[Testee] = []
    with ExitStack() as stack:

        def run(environment: Mapping[str, str]) -> Testee:
            started.append(stack.enter_context(Testee(command, environment)))
            return started[-1]

        yield run
    for each in started:
        _must_not_leak(each, servers, canaries)


@pytest.fixture
def testee(
    request: pytest.FixtureRequest,
    language: Language,
    command: tuple[str, ...],
    serve: Serve,
    servers: list[Scripted],
    canaries: list[str],
    record_property: Callable[[str, object], None],
) -> Generator[Testee]:
    """The one that cases of a language share, with nothing open."""
    running = request.config.stash.setdefault(_RUNNING, {})
    shared = running.get(language.name)
    if shared is None or shared.has_ended:
        shared = running[language.name] = Testee(command)
    record_property("hello", shared.hello)
    shared.output.clear()
    yield shared
    try:
        shared.tidy()
    except BaseException:
        running.pop(language.name).kill()
        raise
    _must_not_leak(shared, servers, canaries)


def _must_not_leak(testee: Testee, servers: list[Scripted], canaries: list[str]) -> None:
    """Case 26 is part of every case: no token in what the testee has written."""
    checker = LeakChecker()
    for token in (token for server in servers for token in server.published if token.text):
        checker.know(f"the token of generation {token.generation}", token.text)
    for canary in canaries:
        checker.know("a bearer", canary)
    assert checker.find("the testee's output", testee.said()) == []
